// Checks an exported ledger folder with Go's own checksum-database libraries, nothing of ours.
//
// usage: go run . FOLDER VKEYFILE
//
// Checks the checkpoint's signature, and that every entry in the folder is a leaf of the
// tree that the checkpoint signs. Entries that are not in the folder are counted.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// files reads tiles of height 8 where C2SP tlog-tiles puts them.
type files struct{ folder string }

func (f files) Height() int { return 8 }

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(path(f.folder, tile))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func path(folder string, tile tlog.Tile) string {
	name := strings.TrimPrefix(tile.Path(), "tile/8/")
	if tile.L == -1 {
		name = "entries" + strings.TrimPrefix(name, "data")
	}
	return filepath.Join(folder, "tile", name)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func openCheckpoint(folder, vkey string) (string, tlog.Tree) {
	verifier := must(note.NewVerifier(strings.TrimSuffix(vkey, "\n")))
	data := must(os.ReadFile(filepath.Join(folder, "checkpoint")))
	lines := strings.Split(must(note.Open(data, note.VerifierList(verifier))).Text, "\n")
	if lines[0] != verifier.Name() {
		log.Fatal("the origin is not the key's name")
	}
	root := must(base64.StdEncoding.DecodeString(lines[2]))
	tree := tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64))}
	copy(tree.Hash[:], root)
	return lines[0], tree
}

func split(bundle []byte, width int) [][]byte {
	var entries [][]byte
	for len(bundle) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if end > len(bundle) {
			break
		}
		entries = append(entries, bundle[2:end])
		bundle = bundle[end:]
	}
	if len(bundle) != 0 || len(entries) != width {
		log.Fatalf("a bundle does not hold exactly %d whole entries", width)
	}
	return entries
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run . FOLDER VKEYFILE")
	}
	folder := os.Args[1]
	origin, tree := openCheckpoint(folder, string(must(os.ReadFile(os.Args[2]))))
	hashes := tlog.TileHashReader(tree, files{folder})

	here := 0
	for n := int64(0); n*256 < tree.N; n++ {
		width := int(min(256, tree.N-n*256))
		bundle, err := os.ReadFile(path(folder, tlog.Tile{H: 8, L: -1, N: n, W: width}))
		if os.IsNotExist(err) {
			continue
		}
		entries := split(must(bundle, err), width)
		var indexes []int64
		for i := range entries {
			indexes = append(indexes, tlog.StoredHashIndex(0, n*256+int64(i)))
		}
		// TileHashReader authenticates every tile it reads against the checkpoint's root.
		for i, stored := range must(hashes.ReadHashes(indexes)) {
			if stored != tlog.RecordHash(entries[i]) {
				log.Fatalf("entry %d does not hash to its leaf", n*256+int64(i))
			}
		}
		here += width
	}
	fmt.Printf("%s: %d of %d entries are here, and all of them are in the signed tree\n", origin, here, tree.N)
}
