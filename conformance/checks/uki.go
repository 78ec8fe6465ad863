// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/siderolabs/talos/internal/pkg/uki"
)

func ukiCheck(r *run) error {
	if err := r.need(r.in.UKI, r.in.Kernel, r.in.Initramfs); err != nil {
		return err
	}

	if err := r.takeApart(r.in.UKI); err != nil {
		return err
	}

	whole, err := os.ReadFile(r.in.UKI)
	if err != nil {
		return err
	}

	renamed := filepath.Join(r.work, "renamed.efi")
	if err = os.WriteFile(renamed, bytes.Replace(whole, []byte(".initrd\x00"), []byte(".initrx\x00"), 1), 0o644); err != nil {
		return err
	}

	r.broken("a UKI without .initrd", func() error { return r.takeApart(renamed) })

	cut := filepath.Join(r.work, "cut.efi")
	if err = os.WriteFile(cut, whole[:len(whole)/2], 0o644); err != nil {
		return err
	}

	r.broken("half a UKI", func() error { return r.takeApart(cut) })
	r.broken("our kernel instead of a UKI", func() error { return r.takeApart(r.in.Kernel) })

	return nil
}

// takeApart compares the parts that an upgrade takes out.
func (r *run) takeApart(path string) error {
	assets, err := uki.Extract(path)
	if err != nil {
		return fmt.Errorf("uki.Extract: %w", err)
	}

	if assets.Closer != nil {
		defer assets.Close() //nolint:errcheck // only read
	}

	for _, part := range []struct {
		name   string
		reader io.Reader
		file   string
	}{{"kernel", assets.Kernel, r.in.Kernel}, {"initramfs", assets.Initrd, r.in.Initramfs}} {
		if part.reader == nil {
			return fmt.Errorf("no %s", part.name)
		}

		got, err := io.ReadAll(part.reader)
		if err != nil {
			return err
		}

		want, err := os.ReadFile(part.file)
		if err != nil {
			return err
		}

		if at := firstDifference(got, want); at >= 0 {
			return fmt.Errorf("the %s differs from the image's at byte %d", part.name, at)
		}
	}

	line, err := io.ReadAll(assets.Cmdline)
	if err != nil {
		return err
	}

	if got := strings.TrimRight(string(line), "\x00\n"); got != r.in.Cmdline {
		return fmt.Errorf("the command line is %q", got)
	}

	return nil
}
