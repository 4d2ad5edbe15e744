package postgres

// For tests in postgres_test.
var (
	MigrateDown = migrateDown
	Classify    = classify
	State       = state
)
