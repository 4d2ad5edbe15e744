package bundle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzAppendText(f *testing.F) {
	for _, s := range []string{"", "plain", `"\/`, "\x00\x01\x08\x09\x0a\x0b\x0c\x0d\x1f ~\x7f", "é€😀", "<>&\u2028\u2029",
		"\ufffd", "\xff", "a\xc3", "\xed\xa0\x80", "long and plain, then one quote: \""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := AppendText([]byte("before"), s)
		want, wantErr := MarshalCanonical(s)
		if wantErr != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, "before"+string(want), string(got))
	})
}
