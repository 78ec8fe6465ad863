// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"github.com/siderolabs/talos/pkg/machinery/constants"
)

// MachineConfig is what `cargo xtask machine-config` writes for one set of options.
type MachineConfig struct {
	// Name says for what.
	Name string `json:"name"`
	// Patches are its files.
	Patches []string `json:"patches"`
}

// machineConfigs puts our patches behind configurations that the release generates, and validates them: what
// `talosctl gen config --config-patch` and `talosctl validate --mode metal --strict` do.
func machineConfigs(r *run) error {
	if len(r.in.MachineConfigs) == 0 {
		return errAbsent
	}

	// An address of nobody (RFC 5737): nothing is contacted. Secrets are the slow part and serve all.
	input, err := generate.NewInput("check", "https://192.0.2.10:6443", constants.DefaultKubernetesVersion,
		generate.WithInstallDisk(""))
	if err != nil {
		return err
	}

	controlPlane, err := input.Config(machine.TypeControlPlane)
	if err != nil {
		return err
	}

	worker, err := input.Config(machine.TypeWorker)
	if err != nil {
		return err
	}

	accepted := func(patches []string) error {
		for _, node := range []config.Provider{controlPlane, worker} {
			if err := r.valid(node, patches); err != nil {
				return fmt.Errorf("%s: %w", node.Machine().Type(), err)
			}
		}

		return nil
	}

	for _, set := range r.in.MachineConfigs {
		if err = accepted(set.Patches); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}

	for _, broken := range []struct{ input, from, to string }{
		{"`diskSelektor`, a key that nobody reads", "diskSelector:\n      ", "diskSelektor:\n      "},
		{"a watchdog that bites after one second", "timeout: 2m0s", "timeout: 1s"},
		{"a volume on a disk with `transpart`, which no disk has", "match: \"disk.transport", "match: \"disk.transpart"},
		{"a kind of document that Talos does not have", "kind: UserVolumeConfig", "kind: UserVolumesConfig"},
		{"a link to Omni without a scheme", "apiUrl: \"https://", "apiUrl: \""},
	} {
		altered, err := r.alteredPatches(broken.from, broken.to)
		if err != nil {
			return fmt.Errorf("%s: %w", broken.input, err)
		}

		r.broken(broken.input, func() error { return accepted(altered) })
	}

	return nil
}

// valid says whether a configuration with patches is one that the release takes without a warning.
func (r *run) valid(node config.Provider, files []string) error {
	named := make([]string, 0, len(files))
	for _, file := range files {
		named = append(named, "@"+file)
	}

	patches, err := configpatcher.LoadPatches(named)
	if err != nil {
		return err
	}

	patched, err := configpatcher.Apply(configpatcher.WithConfig(node), patches)
	if err != nil {
		return err
	}

	text, err := patched.Bytes()
	if err != nil {
		return err
	}

	// Read again, as the file would be.
	read, err := configloader.NewFromBytes(text)
	if err != nil {
		return err
	}

	warnings, err := r.line.Validate(read, validation.WithLocal(), validation.WithStrict())
	if err != nil {
		return err
	}

	if len(warnings) > 0 {
		return errors.New("warned: " + strings.Join(warnings, "; "))
	}

	return nil
}

// alteredPatches gives the first set that has a text, with another in its place.
func (r *run) alteredPatches(from, to string) ([]string, error) {
	for _, set := range r.in.MachineConfigs {
		for i, file := range set.Patches {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}

			if !strings.Contains(string(text), from) {
				continue
			}

			other := filepath.Join(r.work, "altered.yaml")
			if err = os.WriteFile(other, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
				return nil, err
			}

			patches := append([]string{}, set.Patches...)
			patches[i] = other

			return patches, nil
		}
	}

	return nil, fmt.Errorf("no patch of ours has %q to break", from)
}
