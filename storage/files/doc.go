// Package files keeps blobs in a directory tree:
//
//	<root>/<namespace>/sha256/<first 2 hex>/<64 hex>   published, 0444
//	<root>/<namespace>/staging/<32 hex>                being written
//
// A blob is written to staging and hashed on the way. Publish makes it durable
// before it has its name: fsync of the file, rename, fsync of the directory.
// So a name under sha256 always stands for complete bytes, also after a power
// cut, and a crash leaves nothing but files in staging. A writer holds a lock
// on its file; Open removes those that nobody holds.
//
// A file is removed behind a lock on its directory, under which its eraser proves
// that it still may (fence.go). That lock needs no file and no space.
//
// All access goes through os.Root, so no name and no symbolic link leads out
// of the root.
package files
