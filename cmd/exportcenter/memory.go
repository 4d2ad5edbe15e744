package main

import (
	"os"
	"runtime/debug"
)

// What the api's collector aims at, unless the environment says otherwise
// (GOGC, GOMEMLIMIT). An import makes much garbage around little that lives:
// three times what lives is collected half as often as the usual two times, and
// the limit keeps the moments small in which a document of 64 MiB is there.
const (
	apiGarbagePercent = 200
	apiMemory         = 192 << 20
)

func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(apiGarbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(apiMemory)
	}
}
