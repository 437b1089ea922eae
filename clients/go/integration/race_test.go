//go:build race

package integration

// slowdown of the race detector, roughly.
const slowdown = 10
