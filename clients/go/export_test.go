package postern

import (
	"net/http"
	"time"
)

// CacheTimes is for the tests.
func CacheTimes(headers http.Header) (maxAge, age time.Duration) {
	times := cacheTimesOf(headers)
	return times.maxAge, times.age
}
