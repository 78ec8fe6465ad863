// SPDX-License-Identifier: Apache-2.0 OR MIT

package checks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dataOutside says that a sparse file has a byte other than zero outside of a range.
func dataOutside(file *os.File, from, to int64) error {
	for at := int64(0); ; {
		start, err := unix.Seek(int(file.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		} else if err != nil {
			return err
		}

		end, err := unix.Seek(int(file.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}

		content, err := io.ReadAll(io.NewSectionReader(file, start, end-start))
		if err != nil {
			return err
		}

		for i, value := range content {
			if place := start + int64(i); value != 0 && (place < from || place >= to) {
				return fmt.Errorf("byte %d was written", place)
			}
		}

		at = end
	}
}

// alterLayers changes every large blob of a layout, the layers, and leaves their names: the digests no longer hold.
func alterLayers(layout string, change func([]byte) ([]byte, error)) error {
	const larger = 64 << 10

	return filepath.WalkDir(filepath.Join(layout, "blobs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		content, err := os.ReadFile(path)
		if err != nil || len(content) < larger {
			return err
		}

		if content, err = change(content); err != nil {
			return err
		}

		return errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, content, 0o644))
	})
}

func firstHalf(content []byte) ([]byte, error) {
	return content[:len(content)/2], nil
}

// flipInLayer changes a byte of one file in a compressed layer, which stays one that can be unpacked.
func flipInLayer(layer, file []byte, place int) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return nil, err
	}

	content, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}

	start := bytes.Index(content, file)
	if start < 0 {
		return nil, errors.New("the file is not in the layer")
	}

	content[start+place] ^= 1

	var altered bytes.Buffer

	writer := gzip.NewWriter(&altered)
	if _, err = writer.Write(content); err != nil {
		return nil, err
	}

	// What it held back comes with the end.
	if err = writer.Close(); err != nil {
		return nil, err
	}

	return altered.Bytes(), nil
}

// withoutDirectories copies a tar without the entries of folders.
func withoutDirectories(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // only read

	target, err := os.Create(to)
	if err != nil {
		return err
	}
	defer target.Close() //nolint:errcheck // errors of the writes are seen

	reader, writer := tar.NewReader(source), tar.NewWriter(target)

	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return writer.Close()
		} else if err != nil {
			return err
		}

		if header.Typeflag == tar.TypeDir {
			continue
		}

		if err = writer.WriteHeader(header); err != nil {
			return err
		}

		if _, err = io.Copy(writer, reader); err != nil {
			return err
		}
	}
}
