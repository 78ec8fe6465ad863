// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/config/merge"
	"github.com/siderolabs/talos/pkg/machinery/overlay"
)

// extracted is the overlay as the imager unpacks it, with its program made runnable on this machine.
type extracted struct {
	root    string
	program string
}

// extract unpacks the layout for a platform; `into` is a name below the work folder.
func (r *run) extract(asset profile.ContainerAsset, into, arch string) (extracted, error) {
	root := filepath.Join(r.work, into)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return extracted{}, err
	}

	if err := r.line.Extract(asset, root, arch); err != nil {
		return extracted{}, err
	}

	program := filepath.Join(root, "installers", r.in.OverlayName)

	info, err := os.Stat(program)
	if err != nil {
		return extracted{}, err
	}

	if info.Mode()&0o111 == 0 {
		return extracted{}, fmt.Errorf("installers/%s is not executable", r.in.OverlayName)
	}

	if arch == runtime.GOARCH {
		return extracted{root, program}, nil
	}

	if arch != "arm64" || r.in.QemuAarch64 == "" {
		return extracted{}, fmt.Errorf("no way to run a program for %s", arch)
	}

	// The executor starts one path; this script stands for a machine of the other architecture.
	wrapper := filepath.Join(r.work, into+".sh")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' '%s' \"$@\"\n", r.in.QemuAarch64, program)

	return extracted{root, wrapper}, os.WriteFile(wrapper, []byte(script), 0o755)
}

func executorCheck(r *run) error {
	if err := r.need(r.in.OverlayLayout, r.in.Loader, r.in.DTB, r.in.DTBName); err != nil {
		return err
	}

	ours, err := r.extract(profile.ContainerAsset{OCIPath: r.in.OverlayLayout}, "overlay", runtime.GOARCH)
	if err != nil {
		return err
	}

	for _, extra := range []overlay.ExtraOptions{nil, {}, {"unknown": map[string]any{"a": []any{1, nil}}}} {
		options, err := r.line.GetOptions(ours.program, extra)
		if err != nil {
			return err
		}

		if uint(options.PartitionOptions.Offset) != r.in.SkipSectors {
			return fmt.Errorf("offset %d, the image has %d", options.PartitionOptions.Offset, r.in.SkipSectors)
		}

		if !slices.Equal(options.KernelArgs, r.in.OverlayArgs) {
			return fmt.Errorf("kernel arguments %q, the image has %q", options.KernelArgs, r.in.OverlayArgs)
		}
	}

	for _, extra := range []overlay.ExtraOptions{nil, {"unknown": "x"}} {
		if err = r.installs(ours, ours.root, extra); err != nil {
			return err
		}
	}

	// Text is what `--overlay-option key=value` always gives.
	for _, extra := range []overlay.ExtraOptions{{"bootloader": "none"}} {
		disk, err := r.install(ours, ours.root, extra, -1)
		if err != nil {
			return err
		}

		if err = zeroExcept(disk, 0, nil); err != nil {
			return fmt.Errorf("with %v: %w", extra, err)
		}
	}

	return r.brokenInstalls(ours)
}

// brokenInstalls are inputs on which the installer must fail without a written byte.
func (r *run) brokenInstalls(ours extracted) error {
	loaders, err := filepath.Glob(filepath.Join(ours.root, "artifacts/arm64/u-boot/*/u-boot-rockchip.bin"))
	if err != nil || len(loaders) != 1 {
		return fmt.Errorf("%d U-Boot files in the overlay: %w", len(loaders), err)
	}

	loader, err := os.ReadFile(loaders[0])
	if err != nil {
		return err
	}

	damaged := append([]byte{}, loader...)
	damaged[0] ^= 0xff

	refused := func(input string, content []byte, extra overlay.ExtraOptions, size int64) error {
		if err := os.WriteFile(loaders[0], content, 0o644); err != nil {
			return err
		}

		r.broken(input, func() error { return r.refuses(ours, extra, size) })

		return os.WriteFile(loaders[0], loader, 0o644)
	}

	return errors.Join(
		refused("a U-Boot with a damaged idblock", damaged, nil, -1),
		refused("a disk of one MiB", loader, nil, mib),
		refused("options of the wrong type", loader, overlay.ExtraOptions{"bootloader": []any{1, 2}}, -1),
		os.Remove(loaders[0]),
		func() error {
			r.broken("no U-Boot at all", func() error {
				_, err := r.install(ours, ours.root, nil, -1)

				return err
			})

			return nil
		}(),
	)
}

// refuses is the installer's error, if it came before a byte was written.
func (r *run) refuses(ours extracted, extra overlay.ExtraOptions, size int64) error {
	disk, err := r.install(ours, ours.root, extra, size)
	if err != nil && zeroExcept(disk, 0, nil) != nil {
		// Too late: not caught.
		return nil
	}

	return err
}

// install runs the installer as the imager of v1.13 does: a raw file, nothing mounted. A size of -1 is the image's.
func (r *run) install(ours extracted, root string, extra overlay.ExtraOptions, size int64) (string, error) {
	disk := filepath.Join(r.work, "disk.raw")
	prefix := filepath.Join(r.work, "prefix")

	if size < 0 {
		info, err := os.Stat(r.in.Disk)
		if err != nil {
			return "", err
		}

		size = info.Size()
	}

	if err := errors.Join(os.RemoveAll(prefix), os.WriteFile(disk, nil, 0o644), os.Truncate(disk, size)); err != nil {
		return disk, err
	}

	if err := os.MkdirAll(filepath.Join(prefix, "boot/EFI"), 0o755); err != nil {
		return disk, err
	}

	return disk, r.line.Install(ours.program, overlay.InstallOptions[overlay.ExtraOptions]{
		InstallDisk:   disk,
		MountPrefix:   prefix,
		ArtifactsPath: filepath.Join(root, "artifacts"),
		ExtraOptions:  extra,
	})
}

// writtenLoader compares what the installer wrote on a disk with what is in the image.
func (r *run) writtenLoader(disk string) error {
	loader, err := os.ReadFile(r.in.Loader)
	if err != nil {
		return err
	}

	return zeroExcept(disk, r.in.LoaderFirst*sector, loader)
}

// writtenTree compares the device tree below an ESP with that of the image.
func (r *run) writtenTree(esp string) error {
	want, err := os.ReadFile(r.in.DTB)
	if err != nil {
		return err
	}

	got, err := os.ReadFile(filepath.Join(esp, r.in.DTBName))
	if err != nil {
		return err
	}

	if at := firstDifference(got, want); at >= 0 {
		return fmt.Errorf("the device tree differs from the image's at byte %d", at)
	}

	return nil
}

// installs compares what the installer writes with what is in the image.
func (r *run) installs(ours extracted, root string, extra overlay.ExtraOptions) error {
	disk, err := r.install(ours, root, extra, -1)
	if err != nil {
		return err
	}

	if err = r.writtenLoader(disk); err != nil {
		return err
	}

	return r.writtenTree(filepath.Join(r.work, "prefix/boot/EFI"))
}

// zeroExcept says whether a file is zero but for some content at an offset.
func zeroExcept(path string, at int64, content []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read

	found := make([]byte, len(content))
	if _, err = file.ReadAt(found, at); err != nil {
		return err
	}

	if differs := firstDifference(found, content); differs >= 0 {
		return fmt.Errorf("byte %d of what was written differs from the image", at+int64(differs))
	}

	return dataOutside(file, at, at+int64(len(content)))
}

func profileCheck(r *run) error {
	if err := r.need(r.in.OverlayTree); err != nil {
		return err
	}

	path := filepath.Join(r.in.OverlayTree, "profiles", r.in.OverlayName+".yaml")

	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}

	if err = r.profile(string(text)); err != nil {
		return err
	}

	for _, broken := range []struct{ input, from, to string }{
		{"no `bootloader: grub`", "bootloader: grub", ""},
		{"`bootLoader`, a key that nobody reads", "bootloader:", "bootLoader:"},
		{"`bootloader: sd-boot`", "bootloader: grub", "bootloader: sd-boot"},
		{"another architecture", "arch: arm64", "arch: riscv64"},
		{"no platform", "platform: metal", ""},
		{"no disk size", "diskSize:", "size:"},
		{"not YAML", "arch:", "arch: ["},
	} {
		altered := strings.Replace(string(text), broken.from, broken.to, 1)
		if altered == string(text) {
			return fmt.Errorf("our profile has nothing to break by %q", broken.input)
		}

		r.broken(broken.input, func() error { return r.profile(altered) })
	}

	return nil
}

// profile does with our profile what the imager does with the base profile of a request.
func (r *run) profile(text string) error {
	var base profile.Profile
	if err := r.line.DecodeProfile([]byte(text), &base); err != nil {
		return fmt.Errorf("decode: %w", err)
	}

	for _, request := range []profile.Profile{
		{},
		{Version: r.in.Talos, Customization: profile.CustomizationProfile{ExtraKernelArgs: []string{"quiet"}}},
	} {
		merged := base.DeepCopy()
		if err := merge.Merge(&merged, &request); err != nil {
			return fmt.Errorf("merge: %w", err)
		}

		merged.Version = r.in.Talos
		merged.Input.FillDefaults(merged.Arch, merged.Version, merged.SecureBootEnabled())
		merged.Output.FillDefaults(merged.Arch, merged.Version, merged.SecureBootEnabled())

		if err := merged.Validate(); err != nil {
			return fmt.Errorf("validate: %w", err)
		}

		if merged.Arch != "arm64" || merged.Platform != "metal" || merged.SecureBootEnabled() {
			return fmt.Errorf("%s, %s, secure boot %t", merged.Arch, merged.Platform, merged.SecureBootEnabled())
		}

		// By name: the constants are called differently from line to line.
		if merged.Output.ImageOptions.Bootloader.String() != "grub" {
			return fmt.Errorf("the bootloader ends up as %s", merged.Output.ImageOptions.Bootloader)
		}

		if path := merged.OutputPath(); path != "metal-arm64.raw" {
			return fmt.Errorf("the output is %s", path)
		}

		info, err := os.Stat(r.in.Disk)
		if err == nil && merged.Output.ImageOptions.DiskSize != info.Size() {
			return fmt.Errorf("the disk has %d bytes, ours %d", merged.Output.ImageOptions.DiskSize, info.Size())
		}
	}

	return nil
}

func layoutCheck(r *run) error {
	if err := r.need(r.in.OverlayLayout, r.in.OverlayTar, r.in.OverlayTree, r.in.DTB); err != nil {
		return err
	}

	wanted, err := listing(r.in.OverlayTree)
	if err != nil {
		return err
	}

	for _, arch := range []string{"amd64", "arm64"} {
		ours, err := r.extract(profile.ContainerAsset{OCIPath: r.in.OverlayLayout}, arch, arch)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}

		found, err := listing(ours.root)
		if err != nil {
			return err
		}

		if !slices.Equal(found, wanted) {
			return fmt.Errorf("%s: the tree is %q, ours %q", arch, found, wanted)
		}

		if _, err = r.line.GetOptions(ours.program, nil); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}

	if _, err = r.extract(profile.ContainerAsset{TarballPath: r.in.OverlayTar}, "tar", "arm64"); err != nil {
		return fmt.Errorf("tar: %w", err)
	}

	return r.brokenLayouts()
}

func (r *run) brokenLayouts() error {
	copied := filepath.Join(r.work, "layout")
	if err := os.CopyFS(copied, os.DirFS(r.in.OverlayLayout)); err != nil {
		return err
	}

	r.broken("a platform that is not in the layout", func() error {
		return r.line.Extract(profile.ContainerAsset{OCIPath: copied}, filepath.Join(r.work, "s390x"), "s390x")
	})

	index := filepath.Join(copied, "index.json")

	text, err := os.ReadFile(index)
	if err != nil {
		return err
	}

	// Every digest in the index now names a blob that is not there.
	if err = os.WriteFile(index, []byte(strings.ReplaceAll(string(text), "sha256:", "sha256:0")), 0o644); err != nil {
		return err
	}

	r.broken("digests that name no blob", func() error {
		_, err := r.extract(profile.ContainerAsset{OCIPath: copied}, "wrong", runtime.GOARCH)

		return err
	})

	if err = os.WriteFile(index, text, 0o644); err != nil {
		return err
	}

	if err = alterLayers(copied, firstHalf); err != nil {
		return err
	}

	r.broken("a layer that ends early", func() error {
		_, err := r.extract(profile.ContainerAsset{OCIPath: copied}, "short", runtime.GOARCH)

		return err
	})

	if err = r.flippedLayer(); err != nil {
		return err
	}

	if r.line.MakesParents {
		return nil
	}

	headless := filepath.Join(r.work, "headless.tar")
	if err = withoutDirectories(r.in.OverlayTar, headless); err != nil {
		return err
	}

	r.broken("a tar without the entries of its folders", func() error {
		_, err := r.extract(profile.ContainerAsset{TarballPath: headless}, "headless", "arm64")

		return err
	})

	return nil
}

// flippedLayer has a byte of the device tree changed that leaves a device tree. Talos compares no digest of a layout and
// unpacks it: the installer has to notice.
func (r *run) flippedLayer() error {
	flipped := filepath.Join(r.work, "flipped-layout")
	if err := os.CopyFS(flipped, os.DirFS(r.in.OverlayLayout)); err != nil {
		return err
	}

	tree, err := os.ReadFile(r.in.DTB)
	if err != nil {
		return err
	}

	// A letter of the model's name.
	place := bytes.Index(tree, []byte("NanoPi"))
	if place < 0 {
		return errors.New("the device tree names no model")
	}

	if err = alterLayers(flipped, func(layer []byte) ([]byte, error) {
		return flipInLayer(layer, tree, place)
	}); err != nil {
		return err
	}

	r.broken("a layer with a flipped byte", func() error {
		taken, err := r.extract(profile.ContainerAsset{OCIPath: flipped}, "flipped", runtime.GOARCH)
		if err != nil {
			return err
		}

		return r.refuses(taken, nil, -1)
	})

	return nil
}

func listing(root string) ([]string, error) {
	var found []string

	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		relative, err := filepath.Rel(root, path)
		if relative != "." {
			found = append(found, relative)
		}

		return err
	})

	return found, err
}
