package postern

import "container/list"

// lru has a limited number of entries. A new one replaces the one that was not used for the longest time.
type lru[K comparable, V any] struct {
	limit   int
	entries map[K]*list.Element
	// order has the most recently used entry first.
	order *list.List
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit, map[K]*list.Element{}, list.New()}
}

func (l *lru[K, V]) get(key K) (value V, found bool) {
	element, found := l.entries[key]
	if !found {
		return value, false
	}
	l.order.MoveToFront(element)
	return element.Value.(lruEntry[K, V]).value, true
}

func (l *lru[K, V]) add(key K, value V) {
	l.remove(key)
	if len(l.entries) >= l.limit {
		l.remove(l.order.Back().Value.(lruEntry[K, V]).key)
	}
	l.entries[key] = l.order.PushFront(lruEntry[K, V]{key, value})
}

func (l *lru[K, V]) remove(key K) {
	if element, found := l.entries[key]; found {
		l.order.Remove(element)
		delete(l.entries, key)
	}
}
