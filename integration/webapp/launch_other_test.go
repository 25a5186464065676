//go:build !linux

package webapp

import "os/exec"

func launch(cmd *exec.Cmd) error { return cmd.Start() }
