// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/siderolabs/go-blockdevice/v2/partitioning/gpt"

	"github.com/siderolabs/talos/internal/pkg/meta"
)

// userTag is one of the tags that are the user's (pkg/machinery/meta/constants.go: 0x0c to 0x0e).
const userTag = 0x0c

func metaValues(r *run) error {
	if err := r.need(r.in.Disk); err != nil {
		return err
	}

	path, err := r.metaPartition()
	if err != nil {
		return err
	}

	if err = r.hasMeta(path, r.in.Meta); err != nil {
		return err
	}

	zero := filepath.Join(r.work, "zero")
	if err = os.WriteFile(zero, make([]byte, mib), 0o644); err != nil {
		return err
	}

	// An image without values carries zeros, which is an empty META.
	if err = r.hasMeta(zero, nil); err != nil {
		return err
	}

	// What `talosctl meta write` does on the node.
	store, err := r.openMeta(path)
	if err != nil {
		return err
	}

	const value = "written by the release"

	if ok, err := store.SetTag(r.ctx, userTag, value); !ok || err != nil {
		return fmt.Errorf("SetTag: %t, %w", ok, err)
	}

	if err = store.Flush(); err != nil {
		return fmt.Errorf("Flush: %w", err)
	}

	wanted := map[string]string{strconv.Itoa(userTag): value}
	for tag, value := range r.in.Meta {
		if tag != strconv.Itoa(userTag) {
			wanted[tag] = value
		}
	}

	if err = r.hasMeta(path, wanted); err != nil {
		return err
	}

	written, err := os.ReadFile(path)
	if err != nil {
		return err
	}

	// One block is written twice: 256 KiB each (internal/pkg/meta/internal/adv/talos).
	const block = 256 << 10

	for _, broken := range []struct {
		input string
		at    []int
	}{
		{"a byte flipped in both copies", []int{20, block + 20}},
		{"the last magic gone in both copies", []int{block - 1, 2*block - 1}},
	} {
		altered := append([]byte{}, written...)
		for _, at := range broken.at {
			altered[at] ^= 0x01
		}

		if err = os.WriteFile(path, altered, 0o644); err != nil {
			return err
		}

		r.broken(broken.input, func() error { return r.hasMeta(path, wanted) })
	}

	if err = os.WriteFile(path, written[:block-1], 0o644); err != nil {
		return err
	}

	r.broken("less than one block", func() error { return r.hasMeta(path, wanted) })

	return nil
}

// metaPartition copies META out of the image.
func (r *run) metaPartition() (string, error) {
	device, err := open(r.in.Disk)
	if err != nil {
		return "", err
	}
	defer device.Close() //nolint:errcheck // only read

	table, err := gpt.Read(device)
	if err != nil {
		return "", err
	}

	for _, partition := range table.Partitions() {
		if partition == nil || partition.Name != "META" {
			continue
		}

		size := int64(partition.LastLBA-partition.FirstLBA+1) * sector

		bytes, err := io.ReadAll(io.NewSectionReader(device, int64(partition.FirstLBA)*sector, size))
		if err != nil {
			return "", err
		}

		path := filepath.Join(r.work, "META")

		return path, os.WriteFile(path, bytes, 0o644)
	}

	return "", fmt.Errorf("the image has no META")
}

func (r *run) openMeta(path string) (*meta.Meta, error) {
	return meta.New(r.ctx, nil, meta.WithFixedPath(path), meta.WithPrinter(func(string, ...any) {}))
}

// hasMeta says whether exactly these values are there.
func (r *run) hasMeta(path string, wanted map[string]string) error {
	store, err := r.openMeta(path)
	if err != nil {
		return err
	}

	for tag := range 256 {
		got, has := store.ReadTag(uint8(tag))
		want, wants := wanted[strconv.Itoa(tag)]

		if has != wants || got != want {
			return fmt.Errorf("tag %#x is %q (%t), %q (%t) wanted", tag, got, has, want, wants)
		}
	}

	return nil
}
