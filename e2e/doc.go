// Package e2e tests the whole house with real parts: the built programs,
// started as a user starts them, killed as a machine kills them, and their
// bundles handed to programs we did not write.
package e2e
