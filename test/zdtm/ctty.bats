load lib/zdtm

@test "a session keeps its terminal, its foreground group and /dev/tty" { zdtm ctty; }
@test "a session keeps a terminal that nobody has open" { zdtm ctty bare; }

@test "a session whose terminal is from outside is refused, and who has that is said" {
	fresh_dir
	start script -qec "echo \$\$ >pid; exec sleep 1000" /dev/null
	within 20 test -s "$dir/pid"
	pid=$(cat "$dir/pid")
	within 20 grep -q sleep "/proc/$pid/comm"
	run -4 crtool dump -j -t "$pid" -D "$(images)"
	[[ $output == *"leads a session on a terminal, /dev/pts/"*", whose master task "*" (script) has"* ]]
	running "$pid"
}

@test "a number that somebody else has by now: who it is" {
	local to

	park ptmx modes
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	run -8 crtool restore -d -D "$to"
	[[ $output == *"is in use by task "*" (ptmx)"* ]]
	release
}
