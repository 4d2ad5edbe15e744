package main

import (
	"context"
	"io"
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
			if f.json() {
				return printJSON(command.OutOrStdout(), struct {
					RunID         string `json:"runId"`
					File          string `json:"file"`
					ArchiveDigest string `json:"archiveDigest"`
					ArchiveBytes  int64  `json:"archiveBytes"`
				}{args[0], file, archive.Digest, archive.Bytes})
			}
			return printTable(command.OutOrStdout(), [][]string{{"file", file}, {"archive", archive.Digest},
				{"bytes", strconv.FormatInt(archive.Bytes, 10)}})
		})
	command.Flags().StringVar(&output, "output", "", "file to write (default: export-RUN.tar)")
	f = addFormat(command)
	return command
}

// downloadTo downloads a bundle to path, which is there only when all of it
// came and fits its digest.
func downloadTo(ctx context.Context, c *client.Client, id, path string, errOut io.Writer) (client.Archive, error) {
	shown := startProgress(errOut)
	defer shown.stop()
	var archive client.Archive
	err := writeAtomically(path, func(w io.Writer) error {
		var err error
		archive, err = c.Download(ctx, id, &countingWriter{out: w, shown: shown})
		return err
	})
	return archive, err
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
