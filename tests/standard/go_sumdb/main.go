// Checks a ledger folder and proofs with Go's checksum-database libraries.
//
// usage: check FOLDER VKEYFILE < lines
//
// Each line is a claim to check, as JSON: an inclusion proof (index, hashes) or a
// consistency proof (old, oldRoot, hashes) to the tree of the folder's checkpoint.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type claim struct {
	Index   *int64
	Old     int64
	OldRoot string
	Hashes  []string
}

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

func hash(text string) tlog.Hash { return must(tlog.ParseHash(text)) }

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

func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		width := int(min(256, size-n*256))
		data := must(os.ReadFile(path(folder, tlog.Tile{H: 8, L: -1, N: n, W: width})))
		for reader := bytes.NewBuffer(data); reader.Len() > 0; {
			length := int(binary.BigEndian.Uint16(reader.Next(2)))
			all = append(all, append([]byte{}, reader.Next(length)...))
		}
	}
	return all
}

func main() {
	log.SetFlags(0)
	folder := os.Args[1]
	origin, tree := openCheckpoint(folder, string(must(os.ReadFile(os.Args[2]))))
	hashes := tlog.TileHashReader(tree, files{folder})

	all := entries(folder, tree.N)
	if int64(len(all)) != tree.N {
		log.Fatalf("%d entries in a tree of %d", len(all), tree.N)
	}
	var indexes []int64
	for index := range all {
		indexes = append(indexes, tlog.StoredHashIndex(0, int64(index)))
	}
	for index, stored := range must(hashes.ReadHashes(indexes)) {
		if stored != tlog.RecordHash(all[index]) {
			log.Fatalf("entry %d does not hash to its leaf", index)
		}
	}

	claims := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); claims++ {
		var c claim
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			log.Fatal(err)
		}
		var proof []tlog.Hash
		for _, text := range c.Hashes {
			proof = append(proof, hash(text))
		}
		if c.Index != nil {
			ours := must(tlog.ProveRecord(tree.N, *c.Index, hashes))
			if fmt.Sprint(ours) != fmt.Sprint(tlog.RecordProof(proof)) {
				log.Fatalf("leaf %d: another inclusion proof", *c.Index)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, *c.Index, tlog.RecordHash(all[*c.Index])); err != nil {
				log.Fatal(err)
			}
			continue
		}
		ours := must(tlog.ProveTree(tree.N, c.Old, hashes))
		if fmt.Sprint(ours) != fmt.Sprint(tlog.TreeProof(proof)) {
			log.Fatalf("size %d: another consistency proof", c.Old)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, c.Old, hash(c.OldRoot)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%s %d %d\n", origin, tree.N, claims)
}
