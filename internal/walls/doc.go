// Package walls holds nothing but tests: they keep the floors of the house
// apart and the cores pure. They read the sources and ask nobody, so they work
// while some package does not compile.
//
// Floors count upwards from the shared types. A package imports packages of its
// own floor and of those below. Packages without a floor stand beside the house:
// floors 0 to 3 do without them.
package walls
