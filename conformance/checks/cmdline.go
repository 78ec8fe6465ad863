// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/siderolabs/go-procfs/procfs"

	"github.com/siderolabs/talos/internal/app/machined/pkg/runtime/v1alpha1/platform/metal"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/kernel"
)

func cmdlineMerge(r *run) error {
	if len(r.in.Merges) == 0 {
		return errAbsent
	}

	for _, merge := range r.in.Merges {
		if err := r.sameLine(merge); err != nil {
			return err
		}
	}

	first := r.in.Merges[0]

	for _, broken := range []struct{ input, from, to string }{
		{"an argument more", "talos.platform=metal", "talos.platform=metal quiet"},
		{"slab_nomerge twice", " slab_nomerge", " slab_nomerge slab_nomerge"},
		{"another order", " pti=on consoleblank=0", " consoleblank=0 pti=on"},
	} {
		altered := first
		altered.Line = strings.Replace(first.Line, broken.from, broken.to, 1)

		if altered.Line == first.Line {
			return fmt.Errorf("our line has nothing to break by %q", broken.input)
		}

		r.broken(broken.input, func() error { return r.sameLine(altered) })
	}

	return nil
}

// sameLine merges with the release's library, in the order of its imager (pkg/imager/imager.go, buildCmdline).
func (r *run) sameLine(merge Merge) error {
	line := procfs.NewCmdline("")
	platform := metal.Metal{}

	line.Append(constants.KernelParamPlatform, platform.Name())
	line.SetAll(platform.KernelArgs("arm64", r.quirks()).Strings())
	line.SetAll(merge.Overlay)

	if err := line.AppendAll(kernel.DefaultArgs(r.quirks())); err != nil {
		return err
	}

	if err := line.AppendAll(
		merge.Extra,
		procfs.WithOverwriteArgs("console"),
		procfs.WithOverwriteArgs(constants.KernelParamPlatform),
		procfs.WithDeleteNegatedArgs(),
	); err != nil {
		return err
	}

	if line.String() != merge.Line {
		return fmt.Errorf("overlay %q, extra %q: ours is `%s`, the release's `%s`", merge.Overlay, merge.Extra, merge.Line, line.String())
	}

	if len(merge.Line) == 0 {
		return errors.New("an empty line")
	}

	return nil
}
