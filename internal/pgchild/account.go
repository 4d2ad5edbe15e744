package pgchild

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// account is the user the server runs as. The zero value is ourselves.
type account struct {
	name     string
	uid, gid uint32
	drop     bool // we are root and must become this user
}

// serverAccount is ourselves, or, for root, postgres or else nobody. A uid
// without a passwd entry would not do: PostgreSQL looks its own name up.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{name: "uid " + strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), drop: true}, nil
	}
	return account{}, fmt.Errorf("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody")
}

// attributes of the child: its user, an own process group so that Ctrl-C
// reaches our supervisor only, and an immediate quit when our thread ends.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: QuitSignal}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
	}
	return attr
}

// own gives path to the account.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// canReach checks that every directory above path lets the account pass. When
// we do not change the user, the kernel says so better than we could: a group
// of ours or an access list may open what the mode does not show.
func (a account) canReach(path string) error {
	if !a.drop {
		return nil
	}
	for _, dir := range ancestors(path) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		if !a.canEnter(info) {
			return fmt.Errorf("PostgreSQL runs as %s here and cannot enter %s (mode %v): choose a data directory elsewhere or run: chmod o+x %s",
				a.name, dir, info.Mode().Perm(), dir)
		}
	}
	return nil
}

func (a account) canEnter(info os.FileInfo) bool {
	perm := info.Mode().Perm()
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return true
	case st.Uid == a.uid:
		return perm&0o100 != 0
	case st.Gid == a.gid:
		return perm&0o010 != 0
	}
	return perm&0o001 != 0
}

// ancestors lists the directories above path, the root first.
func ancestors(path string) []string {
	var dirs []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	slices.Reverse(dirs)
	return dirs
}

// CheckPlace proves, before anything is made, that a server could run on data:
// its programs are there and its user gets in.
func CheckPlace(bin, data string) error {
	if _, err := FindBinaries(bin); err != nil {
		return err
	}
	acc, err := serverAccount()
	if err != nil {
		return err
	}
	return acc.canReach(data)
}
