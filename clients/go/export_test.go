package postern

// Freshness is for the tests.
var Freshness = freshness
