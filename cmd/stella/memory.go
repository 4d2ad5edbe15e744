package main

import (
	"os"
	"runtime/debug"
)

// softMemory is where stella's collector begins to work harder instead of
// letting it grow: a document of 64 MiB, or an archive that would become one, is
// held once and its garbage not for long. GOMEMLIMIT, when set, says otherwise.
const softMemory = 160 << 20

func boundMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}
