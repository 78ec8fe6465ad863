// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/siderolabs/talos/pkg/imager"
	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/meta"
	"github.com/siderolabs/talos/pkg/reporter"
)

func imagerCmdline(r *run) error {
	if err := r.need(r.in.OverlayLayout, r.in.ReleaseCmdline); err != nil {
		return err
	}

	line, err := r.imagerLine(profile.CustomizationProfile{})
	if err != nil {
		return err
	}

	if line != r.in.ReleaseCmdline {
		return fmt.Errorf("ours is `%s`, the imager's `%s`", r.in.ReleaseCmdline, line)
	}

	r.broken("an extra argument that ours lacks", func() error {
		line, err := r.imagerLine(profile.CustomizationProfile{ExtraKernelArgs: []string{"quiet"}})
		if err == nil && line != r.in.ReleaseCmdline {
			err = fmt.Errorf("the imager's is `%s`", line)
		}

		return err
	})

	return nil
}

// request is what a user would give to the imager on its standard input.
func (r *run) request(kind profile.OutputKind) profile.Profile {
	return profile.Profile{
		BaseProfileName: r.in.OverlayName,
		Arch:            "arm64",
		Platform:        "metal",
		Version:         r.in.Talos,
		Overlay: &profile.OverlayOptions{
			Name:  r.in.OverlayName,
			Image: profile.ContainerAsset{OCIPath: r.in.OverlayLayout},
		},
		Input: profile.Input{
			Kernel:    profile.FileAsset{Path: r.in.Kernel},
			Initramfs: profile.FileAsset{Path: r.in.Initramfs},
			SDStub:    profile.FileAsset{Path: r.in.Stub},
			SDBoot:    profile.FileAsset{Path: r.in.Boot},
		},
		Output: profile.Output{Kind: kind, OutFormat: profile.OutFormatRaw},
	}
}

func (r *run) imagerLine(customization profile.CustomizationProfile) (string, error) {
	request := r.request(profile.OutKindCmdline)
	request.Customization = customization

	path, err := r.image(request, r.work)
	if err != nil {
		return "", err
	}

	line, err := os.ReadFile(path)

	return string(line), err
}

// image runs the whole imager.
func (r *run) image(request profile.Profile, into string) (string, error) {
	whole, err := imager.New(request)
	if err != nil {
		return "", err
	}

	if err = os.MkdirAll(into, 0o755); err != nil {
		return "", err
	}

	path, err := whole.Execute(r.ctx, into, reporter.New())
	if err != nil {
		return "", fmt.Errorf("imager: %w", err)
	}

	return filepath.Clean(path), nil
}

// makeImage has the imager make a disk image of our parts, and prints where it is. What is in it, others compare.
func makeImage(line Line, in Inputs) error {
	if !line.MakesImages {
		return errors.New("the imager of this release needs root and loop devices")
	}

	r := &run{ctx: context.Background(), line: line, in: in, work: in.Image}
	if err := r.need(in.OverlayLayout, in.Kernel, in.Initramfs, in.Stub, in.Boot); err != nil {
		return err
	}

	request := r.request(profile.OutKindImage)
	request.Customization.ExtraKernelArgs = in.ImagerExtra

	for tag, value := range in.Meta {
		key, err := strconv.ParseUint(tag, 10, 8)
		if err != nil {
			return err
		}

		request.Customization.MetaContents = append(request.Customization.MetaContents, meta.Value{Key: uint8(key), Value: value})
	}

	path, err := r.image(request, in.Image)
	if err == nil {
		fmt.Println(path)
	}

	return err
}
