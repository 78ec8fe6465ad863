// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package checks holds what this project makes against the Go code of one Talos release.
//
// Every check runs Talos's own function on our file, and then on inputs that are broken on purpose: one that is not
// noticed fails the check. It builds no image, downloads nothing, and decides nothing about what ships.
package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/siderolabs/talos/pkg/imager/extensions"
	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"github.com/siderolabs/talos/pkg/machinery/imager/quirks"
	"github.com/siderolabs/talos/pkg/machinery/overlay"
)

// Line is what differs between releases in the signatures of the functions that are called.
type Line struct {
	// GetOptions is the executor's.
	GetOptions func(program string, extra overlay.ExtraOptions) (overlay.Options, error)
	// Install is the executor's.
	Install func(program string, options overlay.InstallOptions[overlay.ExtraOptions]) error
	// DecodeProfile reads YAML with the library that this release's imager uses.
	DecodeProfile func(text []byte, into *profile.Profile) error
	// Extract unpacks a container asset as the imager does.
	Extract func(asset profile.ContainerAsset, into, arch string) error
	// Partitions are those of an image with GRUB, in order.
	Partitions func(quirks.Quirks) []Partition
	// Rebuild adds extensions to an initramfs.
	Rebuild func(builder extensions.Builder) error
	// Validate is that of a machine configuration for a metal node, as `talosctl validate` calls it.
	Validate func(cfg config.Provider, options ...validation.Option) ([]string, error)
	// GUIDs derives the table's identifiers from labels; nil where the release takes random ones.
	GUIDs func(label string) string
	// MakesParents says that the release makes folders that a tar has no entry for.
	MakesParents bool
	// MakesImages says that the imager of this release makes an image without root and loop devices.
	MakesImages bool
}

// Inputs are files of this project and what we say of them. A path that is empty was not made.
type Inputs struct {
	// Work is an empty folder.
	Work string `json:"work"`
	// Talos is the release that the image is made for.
	Talos string `json:"talos"`
	// Disk is the raw image.
	Disk string `json:"disk"`
	// SkipSectors is the overlay's offset.
	SkipSectors uint `json:"skip_sectors"`
	// LoaderFirst and LoaderEnd are the sectors that U-Boot may use.
	LoaderFirst int64 `json:"loader_first"`
	LoaderEnd   int64 `json:"loader_end"`
	// GrubConfig, Kernel, Initramfs and DTB are files out of the image.
	GrubConfig string `json:"grub_config"`
	Kernel     string `json:"kernel"`
	Initramfs  string `json:"initramfs"`
	DTB        string `json:"dtb"`
	// DTBName is its path on the EFI partition.
	DTBName string `json:"dtb_name"`
	// Loader is U-Boot as it lies in the image.
	Loader string `json:"loader"`
	// Cmdline is the command line of the image, unquoted.
	Cmdline string `json:"cmdline"`
	// ReleaseCmdline is what the release's imager must make with our overlay and nothing else.
	ReleaseCmdline string `json:"release_cmdline"`
	// ImagerExtra makes the imager's command line that of the image.
	ImagerExtra []string `json:"imager_extra"`
	// Merges are command lines that our code merged.
	Merges []Merge `json:"merges"`
	// Meta are the values of the image's META, by decimal tag.
	Meta map[string]string `json:"meta"`
	// Release is what `uname -r` says under the kernel.
	Release string `json:"release"`
	// Module is one of our modules.
	Module string `json:"module"`
	// OverlayArgs are the overlay's kernel arguments.
	OverlayArgs []string `json:"overlay_args"`
	// OverlayName is the name of installer and profile.
	OverlayName string `json:"overlay_name"`
	// OverlayLayout is the OCI layout, OverlayTree the same as a folder, OverlayTar as a plain tar.
	OverlayLayout string `json:"overlay_layout"`
	OverlayTree   string `json:"overlay_tree"`
	OverlayTar    string `json:"overlay_tar"`
	// MachineConfigs are sets of patches for this board.
	MachineConfigs []MachineConfig `json:"machine_configs"`
	// Node is what our installer image adds to its base, unpacked.
	Node string `json:"node"`
	// RootCommand stands in front of `chroot`; empty where this user may not.
	RootCommand string `json:"root_command"`
	// UKI is that of Node; Stub the systemd stub it is made from.
	UKI  string `json:"uki"`
	Stub string `json:"stub"`
	Boot string `json:"boot"`
	// QemuAarch64 runs programs of the board.
	QemuAarch64 string `json:"qemu_aarch64"`
	// Image is where the imager's own image goes, when one is asked for.
	Image string `json:"image"`
}

// Merge is one merged command line.
type Merge struct {
	Overlay []string `json:"overlay"`
	Extra   []string `json:"extra"`
	Line    string   `json:"line"`
}

// Result is what one check found.
type Result struct {
	Check    string   `json:"check"`
	Status   string   `json:"status"`
	Shows    string   `json:"shows"`
	Problems []string `json:"problems"`
	Broken   []Broken `json:"broken"`
}

// Broken is an input that must be refused.
type Broken struct {
	Input  string `json:"input"`
	Caught bool   `json:"caught"`
	How    string `json:"how"`
}

// errAbsent marks a check whose input was not made.
var errAbsent = errors.New("not made")

// check is one check; what it returns is its first problem.
type check struct {
	name  string
	shows string
	run   func(*run) error
}

// run is a check under way.
type run struct {
	ctx    context.Context
	line   Line
	in     Inputs
	work   string
	result Result
}

// need says that the check cannot do without some inputs.
func (r *run) need(paths ...string) error {
	for _, path := range paths {
		if path == "" {
			return errAbsent
		}
	}

	return nil
}

// broken runs a check on an input that must not pass it.
func (r *run) broken(input string, check func() error) {
	err := check()
	found := Broken{Input: input, Caught: err != nil}

	if err != nil {
		found.How = err.Error()
	}

	r.result.Broken = append(r.result.Broken, found)
}

// quirks of the release that the image is made for.
func (r *run) quirks() quirks.Quirks {
	return quirks.New(r.in.Talos)
}

// Main runs every check, or those named after the file of inputs, and prints the results as JSON.
func Main(line Line) {
	if err := runAll(line, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runAll(line Line, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: PROGRAM INPUTS.json [--image | CHECK...]")
	}

	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}

	var in Inputs
	if err = json.Unmarshal(text, &in); err != nil {
		return err
	}

	if len(args) > 1 && args[1] == "--image" {
		return makeImage(line, in)
	}

	results := []Result{}

	for _, check := range all {
		if len(args) > 1 && !contains(args[1:], check.name) {
			continue
		}

		results = append(results, one(line, in, check))
	}

	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)

	return encoder.Encode(results)
}

func one(line Line, in Inputs, check check) (result Result) {
	work := filepath.Join(in.Work, check.name)
	r := &run{ctx: context.Background(), line: line, in: in, work: work}
	r.result = Result{Check: check.name, Shows: check.shows, Problems: []string{}, Broken: []Broken{}}

	defer func() {
		// A panic in the release's code is a finding about our file, not an end of the other checks.
		if panicked := recover(); panicked != nil {
			r.result.Status = "failed"
			r.result.Problems = append(r.result.Problems, fmt.Sprintf("panic: %v", panicked))
		}

		os.RemoveAll(work) //nolint:errcheck // the folder above it is temporary, too
		result = r.result
	}()

	err := os.MkdirAll(work, 0o755)
	if err == nil {
		err = check.run(r)
	}

	for _, broken := range r.result.Broken {
		if !broken.Caught {
			r.result.Problems = append(r.result.Problems, "not caught: "+broken.Input)
		}
	}

	switch {
	case errors.Is(err, errAbsent):
		r.result.Status = "absent"
	case err != nil:
		r.result.Status = "failed"
		r.result.Problems = append([]string{err.Error()}, r.result.Problems...)
	case len(r.result.Problems) > 0:
		r.result.Status = "failed"
	case len(r.result.Broken) == 0:
		r.result.Status = "failed"
		r.result.Problems = append(r.result.Problems, "no broken input was tried")
	default:
		r.result.Status = "passed"
	}

	return r.result
}

func contains(list []string, word string) bool {
	for _, item := range list {
		if item == word {
			return true
		}
	}

	return false
}

// all checks, in the order of the table.
var all = []check{
	{"gpt-table", "the release's own partitioning code writes the same bytes as our table", gptTable},
	{"gpt-first-boot", "adding STATE and EPHEMERAL on a larger disk keeps every partition and the loader", gptFirstBoot},
	{"blkid", "file systems, labels and the empty META are seen as Talos looks for them", blkidProbe},
	{"meta", "META is read, written and read again", metaValues},
	{"grub-config", "the upgrade's parser reads our grub.cfg, and writes it again byte for byte", grubConfig},
	{"cmdline-merge", "go-procfs merges kernel arguments to the same line as our code", cmdlineMerge},
	{"executor", "the executor gets our options, and our installer writes what is in the image", executorCheck},
	{"executor-node", "the executor, as an upgrade on a node calls it, gets the files of our installer image installed", nodeCheck},
	{"profile", "our profile is read, merged and valid, and ends up with GRUB", profileCheck},
	{"oci-layout", "our layout and tar are extracted for both platforms, and the extracted program runs", layoutCheck},
	{"imager-cmdline", "the whole imager, given our overlay, prints the image's command line", imagerCmdline},
	{"extensions", "extensions are added to our initramfs, modules.dep is rebuilt for our release", extensionsCheck},
	{"machine-config", "our patches fit what the release generates, and its strict validation has nothing to say", machineConfigs},
	{"uki", "the UKI of our installer image is taken apart to our kernel, initramfs and command line", ukiCheck},
}
