package mirror

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk does to a directory all that a command does to it, each effect by itself. A
// test may let any of them fail, or be the last one of a process.
type disk struct {
	// at is asked before each effect, which an error prevents; nil allows all.
	at func(effect string) error
	// copied counts the files that could not be linked.
	copied int64
}

func (d *disk) may(effect, path string) error {
	if d.at == nil {
		return nil
	}
	if err := d.at(effect); err != nil {
		return &fs.PathError{Op: effect, Path: path, Err: err}
	}
	return nil
}

// modes of what is in a mirror: whoever may enter DIR may read it.
const (
	dirMode  = 0o755
	fileMode = 0o644
)

func (d *disk) mkdir(path string) error {
	if err := d.may("mkdir", path); err != nil {
		return err
	}
	return os.MkdirAll(path, dirMode)
}

// make makes a directory and those above it; made says that it was not there.
func (d *disk) make(path string) (made bool, err error) {
	if err := d.mkdir(filepath.Dir(filepath.Clean(path))); err != nil {
		return false, err
	}
	err = os.Mkdir(path, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// output is a file being written.
type output struct {
	disk *disk
	file *os.File
}

// create begins a file, which must not be there, and its directory.
func (d *disk) create(path string) (*output, error) {
	if err := d.may("create", path); err != nil {
		return nil, err
	}
	open := func() (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode) }
	file, err := open()
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.mkdir(filepath.Dir(path)); err == nil {
			file, err = open()
		}
	}
	return &output{d, file}, err
}

// Write writes p; when the effect is prevented, half of it, as a process that ends
// on the way does.
func (o *output) Write(p []byte) (int, error) {
	if err := o.disk.may("write", o.file.Name()); err != nil {
		n, _ := o.file.Write(p[:len(p)/2]) //nolint:errcheck // the other error counts
		return n, err
	}
	return o.file.Write(p)
}

// Close ends the file. It is on the disk when the directory was settled.
func (o *output) Close() error { return o.file.Close() }

// write makes a file of content.
func (d *disk) write(path string, content io.Reader) (err error) {
	file, err := d.create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(struct{ io.Writer }{file}, content)
	return err
}

// content makes a small file of content, which is on the disk then.
func (d *disk) content(path string, content []byte) (err error) {
	file, err := d.create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err = file.Write(content); err != nil {
		return err
	}
	if err = d.may("sync", path); err != nil {
		return err
	}
	return file.file.Sync()
}

// link makes path another name of the file old, or a copy of it where the file
// system has no such names or no more of them.
func (d *disk) link(old, path string) error {
	info, err := os.Lstat(old)
	if err == nil && !info.Mode().IsRegular() {
		err = irregular(old)
	}
	if err != nil {
		return err
	}
	if err = d.may("link", path); err == nil {
		if err = os.Link(old, path); errors.Is(err, fs.ErrNotExist) {
			if mkdirErr := d.mkdir(filepath.Dir(path)); mkdirErr != nil {
				return mkdirErr
			}
			err = os.Link(old, path)
		}
	}
	if !withoutLinks(err) {
		return err
	}
	file, _, err := openRegular(old)
	if err != nil {
		return err
	}
	defer file.Close()
	d.copied++
	return d.write(path, file)
}

// withoutLinks reports that a file could not be linked for what its file system is.
func withoutLinks(err error) bool {
	for _, cause := range []error{syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS, syscall.EXDEV, syscall.EMLINK, errors.ErrUnsupported} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// rename puts what is at old in place of what is at path, and has both directories
// reach the disk.
func (d *disk) rename(old, path string) error {
	if err := d.may("rename", path); err != nil {
		return err
	}
	if err := os.Rename(old, path); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// point makes the symbolic link at path lead to target: the old way or the new, never none.
func (d *disk) point(path, target string) error {
	temporary := path + newSuffix
	if err := d.remove(temporary); err != nil {
		return err
	}
	if err := d.may("symlink", temporary); err != nil {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return d.rename(temporary, path)
}

// wantPointers refuses a directory on a file system that has no symbolic links, before
// there is anything for one to lead to.
func (d *disk) wantPointers(dir string) error {
	probe := filepath.Join(dir, currentName+newSuffix)
	err := d.may("symlink", probe)
	if err == nil {
		err = os.Symlink(generationsName, probe)
	}
	if withoutLinks(err) {
		return refuse(ReasonOther, "%s: its file system takes no symbolic links, and a mirror needs one (FAT, exFAT and many network shares have none); take a directory on another one: %w", dir, err)
	}
	if err != nil {
		return err
	}
	return d.remove(probe)
}

// remove removes what is at path, with all that is in it; nothing there is no error.
func (d *disk) remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.may("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// unmake removes an empty directory; one that has something is somebody's, and stays.
func (d *disk) unmake(path string) error {
	if err := d.may("remove", path); err != nil {
		return err
	}
	_ = os.Remove(path) //nolint:errcheck // as above
	return nil
}

// settle has all that was written below path reach the disk.
func (d *disk) settle(path string) error {
	if err := d.may("settle", path); err != nil {
		return err
	}
	return settle(path)
}

func (d *disk) syncDir(path string) error {
	if err := d.may("sync", path); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// full says of an error of the disk what to do about it.
func full(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk is full, so the mirror stays as it is; make room and run the command again: %w", err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the directory cannot be written, so the mirror stays as it is: %w", err)
	}
	return err
}
