// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/siderolabs/talos/pkg/imager/extensions"
)

const manifest = `version: v1alpha1
metadata:
  name: example
  version: 1.0.0
  author: conformance
  description: a module, firmware and a file
  compatibility:
    talos:
      version: ">= v1.0.0"
`

func extensionsCheck(r *run) error {
	if err := r.need(r.in.Initramfs, r.in.Module, r.in.Release); err != nil {
		return err
	}

	if err := r.rebuild(r.in.Release, r.in.Initramfs); err != nil {
		return err
	}

	r.broken("an extension with modules of another kernel release", func() error {
		return r.rebuild("6.12.0-talos", r.in.Initramfs)
	})

	original, err := os.ReadFile(r.in.Initramfs)
	if err != nil {
		return err
	}

	damaged := filepath.Join(r.work, "damaged")
	if err = os.WriteFile(damaged, original[:len(original)/2], 0o644); err != nil {
		return err
	}

	r.broken("an initramfs that ends in the middle", func() error { return r.rebuild(r.in.Release, damaged) })

	return nil
}

// rebuild adds an extension with a module for a release, and looks at what came out.
func (r *run) rebuild(release, initramfs string) error {
	tree := filepath.Join(r.work, "extensions")
	root := filepath.Join(tree, "0", "rootfs")

	if err := os.RemoveAll(tree); err != nil {
		return err
	}

	module, err := os.ReadFile(r.in.Module)
	if err != nil {
		return err
	}

	name := "usr/lib/modules/" + release + "/extras/conformance-" + filepath.Base(r.in.Module)
	for path, content := range map[string][]byte{
		filepath.Join(root, name):                                    module,
		filepath.Join(root, "usr/lib/firmware/conformance.bin"):      []byte("firmware"),
		filepath.Join(root, "usr/local/etc/containers/example.yaml"): []byte("name: example\n"),
		filepath.Join(tree, "0", "manifest.yaml"):                    []byte(manifest),
	} {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}

		if err = os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}

	rebuilt := filepath.Join(r.work, "initramfs.xz")

	before, err := os.ReadFile(initramfs)
	if err != nil {
		return err
	}

	if err = os.WriteFile(rebuilt, before, 0o644); err != nil {
		return err
	}

	err = r.line.Rebuild(extensions.Builder{
		InitramfsPath:     rebuilt,
		Arch:              "arm64",
		ExtensionTreePath: tree,
		Printf:            func(string, ...any) {},
		Quirks:            r.quirks(),
	})
	if err != nil {
		return err
	}

	after, err := os.ReadFile(rebuilt)
	if err != nil {
		return err
	}

	if !bytes.HasPrefix(after, before) {
		return fmt.Errorf("the rebuilt initramfs does not begin with ours")
	}

	return r.layers(after[len(before):], release, name)
}

// layers looks into the appended segment: firmware, the extension, and `modules.dep` on top.
func (r *run) layers(segment []byte, release, module string) error {
	files, err := unpackSegment(segment)
	if err != nil {
		return err
	}

	if string(files["usr/lib/firmware/conformance.bin"]) != "firmware" {
		return fmt.Errorf("the firmware is not in the initramfs itself")
	}

	config := string(files["extensions.yaml"])
	if !strings.Contains(config, "name: example") || !strings.Contains(config, "name: modules.dep") {
		return fmt.Errorf("extensions.yaml lists other layers:\n%s", config)
	}

	dependencies, ok := files["modules.dep.sqsh"]
	if !ok {
		return fmt.Errorf("there is no modules.dep.sqsh")
	}

	image := filepath.Join(r.work, "modules.dep.sqsh")
	if err = os.WriteFile(image, dependencies, 0o644); err != nil {
		return err
	}

	list, err := exec.CommandContext(r.ctx, "unsquashfs", "-cat", image, "usr/lib/modules/"+release+"/modules.dep").Output()
	if err != nil {
		return fmt.Errorf("modules.dep for %s: %w", release, err)
	}

	below := strings.TrimPrefix(module, "usr/lib/modules/"+release+"/")
	if !strings.Contains(string(list), below+":") {
		return fmt.Errorf("modules.dep does not have %s", below)
	}

	// Our own modules must still be there.
	if lines := strings.Count(string(list), "\n"); lines < 2 {
		return fmt.Errorf("modules.dep has %d lines", lines)
	}

	return nil
}

func unpackSegment(segment []byte) (map[string][]byte, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(segment))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()

	plain, err := io.ReadAll(decoder)
	if err != nil {
		return nil, fmt.Errorf("the appended segment: %w", err)
	}

	files := map[string][]byte{}
	records := cpio.Newc.Reader(bytes.NewReader(plain))

	err = cpio.ForEachRecord(records, func(record cpio.Record) error {
		if record.FileSize == 0 {
			return nil
		}

		content, err := io.ReadAll(io.NewSectionReader(record.ReaderAt, 0, int64(record.FileSize)))
		files[strings.TrimPrefix(record.Name, "./")] = content

		return err
	})

	return files, err
}
