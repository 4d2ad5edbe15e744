package delta

// Bounded lets no line be longer, for tests.
func (f *Files) Bounded(longest int) *Files {
	f.longest = longest
	return f
}
