"""Coursework: assignments from one source, graded where students' code cannot reach.

`assignment` reads a source, and `build` makes the student's and the instructor's notebook of it.
`handed_in` finds submissions, `names` tells whose they are, and `merge` puts the answers into the
instructor's notebook. `judge` runs its tests here and everything of the student's in a `jail`,
where `inside` runs; values travel by `wire`. `grade` leads the way, `forks` does several at a time,
and `table` and `report` write what comes of it. Of the press it uses the chapters' sources, their
links, and its surroundings.
"""
