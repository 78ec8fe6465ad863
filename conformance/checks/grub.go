// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/siderolabs/talos/internal/app/machined/pkg/runtime/v1alpha1/bootloader/grub"
)

func grubConfig(r *run) error {
	if err := r.need(r.in.GrubConfig); err != nil {
		return err
	}

	text, err := os.ReadFile(r.in.GrubConfig)
	if err != nil {
		return err
	}

	if err = r.grubConfig(text); err != nil {
		return err
	}

	replaced := func(from, to string) []byte {
		return []byte(strings.Replace(string(text), from, to, 1))
	}

	for _, broken := range []struct {
		input string
		text  []byte
	}{
		{"a second default", append([]byte("set default=\"B - Talos\"\n"), text...)},
		{"no default", replaced("set default=", "set begin=")},
		{"an entry that begins with neither A, B nor Reset", replaced("menuentry \"A - ", "menuentry \"Talos - ")},
		{"an entry without initrd", replaced("  initrd ", "  ramdisk ")},
		{"two kernels in one entry", replaced("  linux ", "  linux /A/vmlinuz x\n  linux ")},
		{"another kernel argument", replaced(" talos.platform=metal", " talos.platform=cloud")},
		{"no entry that resets", replaced("menuentry \"Reset Talos installation", "submenu \"Reset Talos installation")},
		{"a timeout that Talos does not write", replaced("timeout=3", "timeout=5")},
	} {
		if bytes.Equal(broken.text, text) {
			return fmt.Errorf("our grub.cfg has nothing to break by %q", broken.input)
		}

		r.broken(broken.input, func() error { return r.grubConfig(broken.text) })
	}

	return nil
}

// grubConfig reads a configuration as an upgrade does, and does what an upgrade does to it.
func (r *run) grubConfig(text []byte) error {
	config, err := grub.Decode(text)
	if err != nil {
		return fmt.Errorf("grub.Decode: %w", err)
	}

	if config.Default != grub.BootA || config.Fallback != "" || len(config.Entries) != 1 {
		return fmt.Errorf("default %q, fallback %q, %d entries", config.Default, config.Fallback, len(config.Entries))
	}

	if !config.AddResetOption {
		return errors.New("no entry that resets the installation")
	}

	// What the release itself would have written for this command line.
	fresh := grub.NewConfig()
	if err = fresh.Put(grub.BootA, r.in.Cmdline, r.in.Talos); err != nil {
		return err
	}

	if got, want := config.Entries[grub.BootA], fresh.Entries[grub.BootA]; got != want {
		return fmt.Errorf("entry A is %+v, the release writes %+v", got, want)
	}

	var encoded bytes.Buffer
	if err = fresh.Encode(&encoded); err != nil {
		return err
	}

	if at := firstDifference(text, encoded.Bytes()); at >= 0 {
		return fmt.Errorf("byte %d differs from what the release writes", at)
	}

	// An upgrade puts the other label in and makes it the default.
	if err = config.Put(grub.BootB, r.in.Cmdline, "v9.9.9"); err != nil {
		return err
	}

	config.Default, config.Fallback = grub.BootB, grub.BootA

	encoded.Reset()

	if err = config.Encode(&encoded); err != nil {
		return err
	}

	again, err := grub.Decode(encoded.Bytes())
	if err != nil {
		return fmt.Errorf("after an upgrade: %w", err)
	}

	if again.Default != grub.BootB || again.Fallback != grub.BootA || len(again.Entries) != 2 {
		return errors.New("an upgrade does not end with B as default and A as fallback")
	}

	if again.Entries[grub.BootA] != config.Entries[grub.BootA] {
		return errors.New("an upgrade does not keep entry A")
	}

	return nil
}
