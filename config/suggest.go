package config

import "slices"

// nearest finds the known name that a writer most likely meant: the one with
// the fewest slips (a letter wrong, missing, too much, or two exchanged), at
// most two and fewer than half of the letters.
func nearest(name string, known []string) (string, bool) {
	best, bestSlips := "", min(3, (len(name)+1)/2)
	if len(name) > maxName {
		return "", false
	}
	for _, k := range known {
		if s := slips(name, k); s < bestSlips {
			best, bestSlips = k, s
		}
	}
	return best, best != ""
}

// nearMiss is nearest for a name that is not known itself.
func nearMiss(name string, known []string) (string, bool) {
	if slices.Contains(known, name) {
		return "", false
	}
	return nearest(name, known)
}

// slips is the edit distance with exchanged neighbours counted once.
func slips(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
