"""Coursework: assignments from one source, graded in a sandbox.

`assignment` reads a source, `build` makes the student's and the instructor's notebook of it, `handed_in` finds submissions,
`merge` puts a student's answers into the instructor's notebook, `sandbox` and `server` run the result, `child` is what runs in there,
`grade` leads the way, and `report` writes what comes of it. Of the press it uses the chapters' sources and their links alone.
"""
