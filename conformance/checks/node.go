// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/overlay"
)

// nodeCheck installs as the installer container of an upgrade does: the paths of our installer image, the ESP at
// /boot/EFI, nothing in front of it. The container is a folder that the program is shut into.
func nodeCheck(r *run) error {
	if err := r.need(r.in.Node, r.in.RootCommand, r.in.OverlayLayout, r.in.Loader, r.in.DTB); err != nil {
		return err
	}

	// Talos decodes it, and an empty file would be an error on the node.
	if options, err := os.ReadFile(filepath.Join(r.in.Node, "overlay/extra-options")); err != nil || len(options) == 0 {
		return fmt.Errorf("overlay/extra-options has %d bytes: %w", len(options), err)
	}

	root := filepath.Join(r.work, "root")
	if err := os.CopyFS(root, os.DirFS(r.in.Node)); err != nil {
		return err
	}

	// The image has the program of the board; what runs here is that of this machine, in its place.
	ours, err := r.extract(profile.ContainerAsset{OCIPath: r.in.OverlayLayout}, "overlay", runtime.GOARCH)
	if err != nil {
		return err
	}

	program, err := os.ReadFile(ours.program)
	if err != nil {
		return err
	}

	inside := filepath.Join(root, "overlay/installers/default")
	if _, err = os.Stat(inside); err != nil {
		return err
	}

	enter := filepath.Join(r.work, "enter.sh")
	script := fmt.Sprintf("#!/bin/sh\nexec %s chroot '%s' /overlay/installers/default \"$@\"\n", r.in.RootCommand, root)

	if err = errors.Join(
		os.WriteFile(inside, program, 0o755),
		os.Chmod(inside, 0o755),
		os.WriteFile(enter, []byte(script), 0o755),
	); err != nil {
		return err
	}

	if err = r.installOnNode(root, enter, "/overlay/artifacts"); err != nil {
		return err
	}

	if err = errors.Join(
		r.writtenLoader(filepath.Join(root, "disk.raw")),
		r.writtenTree(filepath.Join(root, "boot/EFI")),
	); err != nil {
		return err
	}

	refused := func(input, artifacts string) {
		r.broken(input, func() error {
			err := r.installOnNode(root, enter, artifacts)
			if written := zeroExcept(filepath.Join(root, "disk.raw"), 0, nil); written != nil {
				// Refused, but too late: not caught.
				return nil
			}

			return err
		})
	}

	refused("artifacts where the container has none", "/artifacts")

	trees, err := filepath.Glob(filepath.Join(root, "overlay/artifacts/arm64/dtb/rockchip/*"))
	if err != nil {
		return err
	}

	for _, tree := range trees {
		if err = os.Remove(tree); err != nil {
			return err
		}
	}

	refused("an installer image without the device tree", "/overlay/artifacts")

	return nil
}

// installOnNode calls the executor with an empty disk and an empty ESP.
func (r *run) installOnNode(root, enter, artifacts string) error {
	disk := filepath.Join(root, "disk.raw")
	esp := filepath.Join(root, "boot/EFI")

	info, err := os.Stat(r.in.Disk)
	if err != nil {
		return err
	}

	if err = errors.Join(
		os.RemoveAll(esp),
		os.MkdirAll(esp, 0o755),
		os.WriteFile(disk, nil, 0o644),
		os.Truncate(disk, info.Size()),
	); err != nil {
		return err
	}

	return r.line.Install(enter, overlay.InstallOptions[overlay.ExtraOptions]{
		InstallDisk:   "/disk.raw",
		MountPrefix:   "",
		ArtifactsPath: artifacts,
	})
}
