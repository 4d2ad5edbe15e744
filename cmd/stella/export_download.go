package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

func exportDownloadCommand(c *connection) *cobra.Command {
	var output string
	var f *format
	command := leaf("download RUN", "Download the bundle of a run", oneRun,
		func(command *cobra.Command, args []string) error {
			opened, err := c.open()
			if err != nil {
				return err
			}
			file := firstOf(output, "export-"+args[0]+".tar")
			archive, err := downloadTo(command.Context(), opened, args[0], file, command.ErrOrStderr())
			if err != nil {
				return err
			}
			if f.machine() {
				return f.encode(command.OutOrStdout(), struct {
					RunID         string `json:"runId"`
					File          string `json:"file"`
					ArchiveDigest string `json:"archiveDigest"`
					ArchiveBytes  int64  `json:"archiveBytes"`
				}{args[0], file, archive.Digest, archive.Bytes})
			}
			return printTable(command.OutOrStdout(), [][]string{{"file", file}, {"archive", archive.Digest},
				{"bytes", strconv.FormatInt(archive.Bytes, 10)}})
		})
	command.Long = `Download the bundle of a run and compare it with the digest the server promised.

A broken connection is taken up again. When the command itself is interrupted, what
came is kept beside the file, as .stella-RUN.partial, and the same command goes on
behind it.

` + exitCodesHelp
	command.Flags().StringVar(&output, "output", "", "`FILE` to write (default: export-RUN.tar)")
	f = addFormat(command)
	return command
}

// downloadTo downloads a bundle to path, which is there only when all of it
// came and fits its digest. What comes before an interruption is kept beside path,
// and the next call for the same run goes on behind it.
func downloadTo(ctx context.Context, c *client.Client, id, path string, errOut io.Writer) (client.Archive, error) {
	if err := checkOutput(path); err != nil {
		return client.Archive{}, err
	}
	shown := startProgress(errOut)
	defer shown.stop()
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		var archive client.Archive
		err := writeThrough(path, func(w io.Writer) (err error) {
			archive, err = c.Download(ctx, id, &countingWriter{out: w, shown: shown})
			return err
		})
		return archive, err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays a link
	}
	part, err := openPart(path, id)
	if err != nil {
		return client.Archive{}, err
	}
	archive, err := fill(ctx, c, id, part, shown)
	switch {
	case err == nil:
		return archive, part.become(path)
	case errors.Is(err, client.ErrDigest):
		part.drop()
	default:
		if kept := part.keep(); kept > 0 {
			err = fmt.Errorf("%w; %d bytes are kept in %s: the same command goes on behind them", err, kept, part.path)
		}
	}
	return client.Archive{}, err
}

// fill makes part whole. If what an earlier attempt left does not fit, it begins
// anew: a power cut can leave a file with holes.
func fill(ctx context.Context, c *client.Client, id string, part *partFile, shown *progress) (client.Archive, error) {
	if part.had > 0 {
		out := &countingWriter{out: part, shown: shown, count: part.had}
		archive, err := c.Resume(ctx, id, io.NewSectionReader(part, 0, part.had), out)
		if !errors.Is(err, client.ErrDigest) {
			return archive, err
		}
		if err := part.restart(); err != nil {
			return archive, fmt.Errorf("begin %s anew: %w", part.path, err)
		}
	}
	return c.Download(ctx, id, &countingWriter{out: part, shown: shown})
}

type countingWriter struct {
	out   io.Writer
	shown *progress
	count int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.count += int64(n)
	w.shown.say("%d MB downloaded", w.count>>20)
	return n, err
}
