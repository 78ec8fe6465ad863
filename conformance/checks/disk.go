// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/siderolabs/go-blockdevice/v2/blkid"
	"github.com/siderolabs/go-blockdevice/v2/partitioning/gpt"
	"golang.org/x/sys/unix"
)

const (
	sector = 512
	mib    = 1 << 20
	// entriesBytes is 128 entries of 128 bytes (UEFI 2.10, 5.3.3).
	entriesBytes = 128 * 128
	// diskLabel is what the imager derives the disk's identifier from (cmd/installer/pkg/install/install.go, v1.13).
	diskLabel = "talos-image-disk"
)

// Labels of the partitions of an image with GRUB, in order (bootloader/grub/grub.go, cmd/installer/pkg/install).
var Labels = []string{"EFI", "BIOS", "BOOT", "META"}

// Partition is one that the release's installer would make.
type Partition struct {
	Label, Type string
	Size        uint64
	Options     []gpt.PartitionOption
}

// fileDevice is a regular file as a device without a kernel behind it.
type fileDevice struct {
	*os.File
	size uint64
}

func (d fileDevice) GetSectorSize() uint                             { return sector }
func (d fileDevice) GetSize() uint64                                 { return d.size }
func (d fileDevice) GetIOSize() (uint, error)                        { return sector, nil }
func (d fileDevice) GetKernelLastPartitionNum() (int, error)         { return 0, nil }
func (d fileDevice) KernelPartitionAdd(int, uint64, uint64) error    { return nil }
func (d fileDevice) KernelPartitionResize(int, uint64, uint64) error { return nil }
func (d fileDevice) KernelPartitionDelete(int) error                 { return nil }

func open(path string) (fileDevice, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fileDevice{}, err
	}

	info, err := file.Stat()
	if err != nil {
		return fileDevice{}, err
	}

	return fileDevice{file, uint64(info.Size())}, nil
}

// copySparse copies what is stored of a file; holes stay holes.
func copySparse(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // only read

	target, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer target.Close() //nolint:errcheck // errors of the writes are seen

	info, err := source.Stat()
	if err != nil {
		return err
	}

	if err = target.Truncate(info.Size()); err != nil {
		return err
	}

	for at := int64(0); ; {
		start, err := unix.Seek(int(source.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		} else if err != nil {
			return err
		}

		end, err := unix.Seek(int(source.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}

		if _, err = target.Seek(start, io.SeekStart); err != nil {
			return err
		}

		if _, err = io.Copy(target, io.NewSectionReader(source, start, end-start)); err != nil {
			return err
		}

		at = end
	}
}

// altered is a copy of the image with some change.
func (r *run) altered(name string, change func(fileDevice) error) (string, error) {
	path := filepath.Join(r.work, name)
	if err := copySparse(r.in.Disk, path); err != nil {
		return "", err
	}

	device, err := open(path)
	if err != nil {
		return "", err
	}
	defer device.Close() //nolint:errcheck // errors of the writes are seen

	return path, change(device)
}

// brokenDisk is [run.broken] with a copy of the image.
func (r *run) brokenDisk(input string, change func(fileDevice) error, check func(path string) error) error {
	path, err := r.altered("broken.raw", change)
	if err != nil {
		return err
	}
	defer os.Remove(path) //nolint:errcheck // in a temporary folder

	r.broken(input, func() error { return check(path) })

	return nil
}

// changeEntry alters one entry in both copies of the table and makes the checksums right again.
func changeEntry(index int, change func(entry []byte)) func(fileDevice) error {
	return func(device fileDevice) error {
		last := int64(device.size/sector) - 1
		for _, at := range []int64{1, last} {
			header := make([]byte, sector)
			if _, err := device.ReadAt(header, at*sector); err != nil {
				return err
			}

			entriesAt := int64(binary.LittleEndian.Uint64(header[72:])) * sector
			entries := make([]byte, entriesBytes)

			if _, err := device.ReadAt(entries, entriesAt); err != nil {
				return err
			}

			change(entries[index*128 : (index+1)*128])
			binary.LittleEndian.PutUint32(header[88:], crc32.ChecksumIEEE(entries))
			binary.LittleEndian.PutUint32(header[16:], 0)
			binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header[:92]))

			if _, err := device.WriteAt(header, at*sector); err != nil {
				return err
			}

			if _, err := device.WriteAt(entries, entriesAt); err != nil {
				return err
			}
		}

		return nil
	}
}

// moveBy shifts an entry by sectors.
func moveBy(sectors int64) func([]byte) {
	return func(entry []byte) {
		for _, at := range []int{32, 40} {
			lba := int64(binary.LittleEndian.Uint64(entry[at:])) + sectors
			binary.LittleEndian.PutUint64(entry[at:], uint64(lba))
		}
	}
}

// parts of a disk that only a partition table writes.
func tableRanges(size uint64, skip uint) [][2]int64 {
	end := int64(size)

	return [][2]int64{
		{0, 2 * sector},
		{int64(2+skip) * sector, entriesBytes},
		{end - 33*sector, 33 * sector},
	}
}

func gptTable(r *run) error {
	if err := r.need(r.in.Disk); err != nil {
		return err
	}

	// Without a check of our own the entry could be anything that the library accepts.
	compare := func(path string) error { return r.compareTable(path) }
	if err := compare(r.in.Disk); err != nil {
		return err
	}

	const meta = 3

	for _, broken := range []struct {
		input  string
		change func(fileDevice) error
	}{
		{"META one MiB further on, checksums right", changeEntry(meta, moveBy(mib/sector))},
		{"type of META that of an EFI partition", changeEntry(meta, func(entry []byte) { copy(entry, efiType()) })},
		{"BIOS without the legacy attribute", changeEntry(1, func(entry []byte) { entry[48] = 0 })},
		{"BOOT named boot", changeEntry(2, func(entry []byte) { entry[56] |= 0x20 })},
		{"one byte of the primary header", func(device fileDevice) error {
			_, err := device.WriteAt([]byte{0xff}, sector+24)

			return err
		}},
	} {
		if err := r.brokenDisk(broken.input, broken.change, compare); err != nil {
			return err
		}
	}

	return nil
}

// efiType is the GUID of an EFI partition in its stored form.
func efiType() []byte {
	return []byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
}

// compareTable has the release's library make the table anew, as its installer would, and compares the bytes.
func (r *run) compareTable(path string) error {
	ours, err := open(path)
	if err != nil {
		return err
	}
	defer ours.Close() //nolint:errcheck // only read

	read, err := gpt.Read(ours)
	if err != nil {
		return fmt.Errorf("gpt.Read: %w", err)
	}

	wanted := r.line.Partitions(r.quirks())
	found := read.Partitions()

	if len(found) != len(wanted) {
		return fmt.Errorf("%d partitions, the release makes %d", len(found), len(wanted))
	}

	header := make([]byte, sector)
	if _, err = ours.ReadAt(header, sector); err != nil {
		return err
	}

	// Where the release takes random identifiers, ours are taken over, so that all bytes can be compared.
	diskGUID := guid(header[56:72])
	if r.line.GUIDs != nil {
		diskGUID = uuid.MustParse(r.line.GUIDs(diskLabel))
	}

	blank := filepath.Join(r.work, "blank.raw")
	if err = os.WriteFile(blank, nil, 0o644); err != nil {
		return err
	}
	defer os.Remove(blank) //nolint:errcheck // in a temporary folder

	if err = os.Truncate(blank, int64(ours.size)); err != nil {
		return err
	}

	theirs, err := open(blank)
	if err != nil {
		return err
	}
	defer theirs.Close() //nolint:errcheck // in a temporary folder

	table, err := gpt.New(theirs, gpt.WithSkipLBAs(r.in.SkipSectors), gpt.WithDiskGUID(diskGUID))
	if err != nil {
		return fmt.Errorf("gpt.New: %w", err)
	}

	for i, partition := range wanted {
		unique := found[i].PartGUID
		if r.line.GUIDs != nil {
			unique = uuid.MustParse(r.line.GUIDs(partition.Label))
		}

		options := append([]gpt.PartitionOption{gpt.WithUniqueGUID(unique)}, partition.Options...)
		if _, _, err = table.AllocatePartition(partition.Size, partition.Label, uuid.MustParse(partition.Type), options...); err != nil {
			return fmt.Errorf("the release cannot place %s: %w", partition.Label, err)
		}
	}

	if err = table.Write(); err != nil {
		return err
	}

	return sameRanges(ours, theirs, tableRanges(ours.size, r.in.SkipSectors))
}

// guid reads the stored form, whose first three fields are little-endian.
func guid(stored []byte) uuid.UUID {
	var id uuid.UUID

	for i, from := range []int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		id[i] = stored[from]
	}

	return id
}

func sameRanges(ours, theirs io.ReaderAt, ranges [][2]int64) error {
	for _, part := range ranges {
		a, b := make([]byte, part[1]), make([]byte, part[1])
		if _, err := ours.ReadAt(a, part[0]); err != nil {
			return err
		}

		if _, err := theirs.ReadAt(b, part[0]); err != nil {
			return err
		}

		if at := firstDifference(a, b); at >= 0 {
			return fmt.Errorf("byte %d of the disk is %#02x, the release writes %#02x", part[0]+int64(at), a[at], b[at])
		}
	}

	return nil
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return i
		}
	}

	if len(b) > len(a) {
		return len(a)
	}

	return -1
}

func gptFirstBoot(r *run) error {
	if err := r.need(r.in.Disk); err != nil {
		return err
	}

	if err := r.firstBoot(r.in.LoaderFirst, r.in.LoaderEnd); err != nil {
		return err
	}

	r.broken("a loader that begins at LBA 1", func() error { return r.firstBoot(1, r.in.LoaderEnd) })
	r.broken("a loader that reaches into the first partition", func() error {
		return r.firstBoot(r.in.LoaderFirst, r.in.LoaderEnd+4*mib/sector)
	})

	return nil
}

// firstBoot grows the disk and has the library add what Talos adds; the loader is filled with a pattern before.
func (r *run) firstBoot(loaderFirst, loaderEnd int64) error {
	const grown = 16 << 30

	pattern := bytes.Repeat([]byte{0xa5}, int((loaderEnd-loaderFirst)*sector))

	path, err := r.altered("grown.raw", func(device fileDevice) error {
		if _, err := device.WriteAt(pattern, loaderFirst*sector); err != nil {
			return err
		}

		return device.Truncate(grown)
	})
	if err != nil {
		return err
	}
	defer os.Remove(path) //nolint:errcheck // in a temporary folder

	device, err := open(path)
	if err != nil {
		return err
	}
	defer device.Close() //nolint:errcheck // in a temporary folder

	before, err := gpt.Read(device)
	if err != nil {
		return fmt.Errorf("gpt.Read on the larger disk: %w", err)
	}

	kept := before.Partitions()

	for _, partition := range []struct {
		label string
		size  uint64
	}{{"STATE", 100 * mib}, {"EPHEMERAL", 0}} {
		size := partition.size
		if size == 0 {
			size = before.LargestContiguousAllocatable()
		}

		const linux = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
		if _, _, err = before.AllocatePartition(size, partition.label, uuid.MustParse(linux)); err != nil {
			return fmt.Errorf("no place for %s: %w", partition.label, err)
		}
	}

	if err = before.Write(); err != nil {
		return err
	}

	after, err := gpt.Read(device)
	if err != nil {
		return err
	}

	found := after.Partitions()
	if len(found) != len(kept)+2 {
		return fmt.Errorf("%d partitions after the first boot, expected %d", len(found), len(kept)+2)
	}

	for i := range kept {
		if *found[i] != *kept[i] {
			return fmt.Errorf("partition %d changed: %v, before %v", i+1, *found[i], *kept[i])
		}
	}

	if ephemeral := found[len(found)-1]; (ephemeral.LastLBA-ephemeral.FirstLBA+1)*sector < 2<<30 {
		return errors.New("EPHEMERAL is smaller than 2 GiB on a disk of 16 GiB")
	}

	now := make([]byte, len(pattern))
	if _, err = device.ReadAt(now, loaderFirst*sector); err != nil {
		return err
	}

	if at := firstDifference(now, pattern); at >= 0 {
		return fmt.Errorf("the loader was overwritten at byte %d", loaderFirst*sector+int64(at))
	}

	return nil
}

func blkidProbe(r *run) error {
	if err := r.need(r.in.Disk); err != nil {
		return err
	}

	if err := r.probe(r.in.Disk); err != nil {
		return err
	}

	device, err := open(r.in.Disk)
	if err != nil {
		return err
	}
	defer device.Close() //nolint:errcheck // only read

	table, err := gpt.Read(device)
	if err != nil {
		return err
	}

	start := func(index int) int64 { return int64(table.Partitions()[index].FirstLBA) * sector }
	write := func(at int64, bytes []byte) func(fileDevice) error {
		return func(device fileDevice) error {
			_, err := device.WriteAt(bytes, at)

			return err
		}
	}

	for _, broken := range []struct {
		input  string
		change func(fileDevice) error
	}{
		{"BOOT without its xfs magic", write(start(2), []byte{0, 0, 0, 0})},
		{"EFI without its boot signature", write(start(0), make([]byte, sector))},
		{"META with BOOT's superblock", func(device fileDevice) error {
			superblock := make([]byte, 4096)
			if _, err := device.ReadAt(superblock, start(2)); err != nil {
				return err
			}

			return write(start(3), superblock)(device)
		}},
		{"META of two MiB", changeEntry(3, func(entry []byte) {
			binary.LittleEndian.PutUint64(entry[40:], binary.LittleEndian.Uint64(entry[40:])-1)
		})},
		{"EFI named ESP", changeEntry(0, func(entry []byte) { entry[58] = 'S' })},
	} {
		if err = r.brokenDisk(broken.input, broken.change, r.probe); err != nil {
			return err
		}
	}

	return nil
}

// probe looks for the partitions as the release's volume locators do: by label, and by file system.
func (r *run) probe(path string) error {
	wanted := r.line.Partitions(r.quirks())

	info, err := blkid.ProbePath(path, blkid.WithSkipLocking(true))
	if err != nil {
		return fmt.Errorf("blkid: %w", err)
	}

	if info.Name != "gpt" {
		return fmt.Errorf("the disk is seen as %q", info.Name)
	}

	if len(info.Parts) != len(wanted) {
		return fmt.Errorf("%d partitions are seen, %d wanted", len(info.Parts), len(wanted))
	}

	// The GRUB probe wants xfs and vfat by these labels (internal/app/machined/.../bootloader/grub/probe.go).
	systems := map[string]string{"EFI": "vfat", "BOOT": "xfs"}
	// META's locator: label META, no or its own signature, exactly 1 MiB (controllers/block, metaMatch).
	if len(r.in.Meta) > 0 {
		systems["META"] = "talosmeta"
	}

	for i, part := range info.Parts {
		if part.PartitionLabel == nil || *part.PartitionLabel != wanted[i].Label {
			return fmt.Errorf("partition %d is not labelled %s", i+1, wanted[i].Label)
		}

		if part.PartitionSize != wanted[i].Size {
			return fmt.Errorf("%s has %d bytes, %d wanted", wanted[i].Label, part.PartitionSize, wanted[i].Size)
		}

		system := systems[wanted[i].Label]
		if (system == "vfat" || system == "xfs") && (part.Label == nil || *part.Label != wanted[i].Label) {
			return fmt.Errorf("the file system on %s has another label", wanted[i].Label)
		}

		if part.Name != system {
			return fmt.Errorf("%s holds %q, %q wanted", wanted[i].Label, part.Name, system)
		}
	}

	if last := info.Parts[len(info.Parts)-1]; last.PartitionSize != mib {
		return errors.New("the last partition is no META to Talos")
	}

	return nil
}
