// SPDX-License-Identifier: Apache-2.0 OR MIT

// The checks with the Go code of the Talos release in go.mod. Only what this line spells differently is here.
package main

import (
	"context"

	"github.com/siderolabs/talos/internal/app/machined/pkg/runtime"
	"github.com/siderolabs/talos/internal/pkg/partition"
	imagerextensions "github.com/siderolabs/talos/pkg/imager/extensions"
	"github.com/siderolabs/talos/pkg/imager/overlay/executor"
	"github.com/siderolabs/talos/pkg/imager/profile"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"github.com/siderolabs/talos/pkg/machinery/imager/quirks"
	"github.com/siderolabs/talos/pkg/machinery/overlay"
	"go.yaml.in/yaml/v4"

	"github.com/siderolabs/talos/nanopi-m6/checks"
)

func main() {
	ctx := context.Background()

	checks.Main(checks.Line{
		GetOptions: func(program string, extra overlay.ExtraOptions) (overlay.Options, error) {
			return executor.New(program).GetOptions(ctx, extra)
		},
		Install: func(program string, options overlay.InstallOptions[overlay.ExtraOptions]) error {
			return executor.New(program).Install(ctx, options)
		},
		DecodeProfile: func(text []byte, into *profile.Profile) error { return yaml.Unmarshal(text, into) },
		Extract: func(asset profile.ContainerAsset, into, arch string) error {
			return asset.Extract(ctx, into, arch, func(string, ...any) {})
		},
		Partitions: func(quirk quirks.Quirks) []checks.Partition {
			var all []checks.Partition

			for _, label := range checks.Labels {
				one := partition.NewPartitionOptions(label, false, quirk)
				all = append(all, checks.Partition{
					Label: one.PartitionLabel, Type: one.PartitionType, Size: one.Size, Options: one.PartitionOpts,
				})
			}

			return all
		},
		Validate: func(cfg config.Provider, options ...validation.Option) ([]string, error) {
			return cfg.Validate(runtime.ModeMetal, options...)
		},
		Rebuild: func(builder imagerextensions.Builder) error { return builder.Build(ctx) },
	})
}
