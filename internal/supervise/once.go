package supervise

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
)

// Once runs cmd to its end, with output appended to the file log. It dies with
// this process, like a supervised child, and with ctx.
func Once(ctx context.Context, cmd *exec.Cmd, log string) error {
	file, err := openLog(log)
	if err != nil {
		return err
	}
	defer file.Close()
	prepare(cmd, file)
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // see the package comment
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start %s: %w", cmd.Path, err)
			return
		}
		started <- nil
		ended <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		// The only failure is that it has just ended.
		cmd.Process.Kill() //nolint:errcheck
		<-ended
		return ctx.Err()
	}
}
