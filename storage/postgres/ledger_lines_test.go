package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

func TestListsAreReadAsTheDriverReadsThem(t *testing.T) {
	types := pgtype.NewMap()
	for _, want := range [][]string{{}, {""}, {"a"}, {"a", "", "é\x00b", `{"x"}`}} {
		raw, err := types.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, want, nil)
		require.NoError(t, err)
		got, err := decodeTexts([]string{}, raw)
		require.NoError(t, err)
		require.Equal(t, want, got)
		for cut := range raw {
			if cut < len(raw) && len(want) > 0 {
				_, err := decodeTexts(nil, raw[:cut])
				require.Error(t, err, "%q cut at %d", want, cut)
			}
		}
	}
	null, err := types.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, []*string{nil}, nil)
	require.NoError(t, err)
	_, err = decodeTexts(nil, null)
	require.Error(t, err, "a null is not a text")
	square, err := types.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, []string{"a"}, nil)
	require.NoError(t, err)
	square[3] = 2 // dimensions
	_, err = decodeTexts(nil, square)
	require.Error(t, err, "a list of lists is not a list")
}
