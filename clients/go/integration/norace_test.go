//go:build !race

package integration

// slowdown without the race detector.
const slowdown = 1
