package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// missingFiles checks the paths that people get wrong most: both are relative to
// the Pulumi program, and the Dockerfile's is not relative to the context. Where
// another reading of the path leads to a Dockerfile, the message names it.
func missingFiles(context, dockerfile string) []string {
	var failures []string
	info, err := os.Stat(context)
	if fault := faultOf(info, err, true); fault != "" {
		message := fmt.Sprintf("build.context %q: %s; it is relative to the Pulumi program, %s",
			context, fault, workingDir())
		if isFile(dockerfile) {
			message += fmt.Sprintf(". Try %q, where build.dockerfile is", filepath.Dir(dockerfile))
		}
		failures = append(failures, message)
	}
	info, err = os.Stat(dockerfile)
	if fault := faultOf(info, err, false); fault != "" {
		message := fmt.Sprintf("build.dockerfile %q: %s; it is relative to the Pulumi program, %s, not to build.context",
			dockerfile, fault, workingDir())
		for _, other := range []string{
			filepath.Join(context, dockerfile),
			filepath.Join(dockerfile, "Dockerfile"),
			filepath.Join(context, "Dockerfile"),
		} {
			if isFile(other) {
				message += fmt.Sprintf(". Try %q", filepath.ToSlash(other))
				break
			}
		}
		failures = append(failures, message)
	}
	return failures
}

func faultOf(info fs.FileInfo, err error, wantDir bool) string {
	switch {
	case errors.Is(err, fs.ErrNotExist) && wantDir:
		return "no such folder"
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case err != nil:
		return err.Error()
	case wantDir && !info.IsDir():
		return "a file, not a folder"
	case !wantDir && info.IsDir():
		return "a folder, not a file"
	default:
		return ""
	}
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return err.Error()
	}
	return dir
}
