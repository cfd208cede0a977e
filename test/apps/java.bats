load lib/apps

setup_file() {
	! command -v javac >/dev/null || javac -d "$BATS_FILE_TMPDIR" "$PROGRAMS/Busy.java"
}

# Any other Java machine that starts in between removes the file of this one in /tmp/hsperfdata_USER.
setup() {
	dump_with=(--file-contents)
	restore_with=(--file-policy rollback)
}

# java OPTION...: the program under that machine.
begin_java() {
	start java "$@" -Xmx128m -cp "$BATS_FILE_TMPDIR" Busy
	within 30 lines out 6
}

@test "java with the parallel collector" {
	needs java javac
	begin() { begin_java -XX:+UseParallelGC; }
	carry dump_and_restore_twice dump_running
}

@test "java with the G1 collector and compressed pointers off" {
	needs java javac
	begin() { begin_java -XX:+UseG1GC -XX:-UseCompressedOops; }
	carry dump_and_restore_twice dump_running
}

@test "java with the serial collector, its heap touched before" {
	needs java javac
	begin() { begin_java -XX:+UseSerialGC -XX:+AlwaysPreTouch; }
	carry dump_and_restore
}

@test "java with the Z collector, whose heap is mapped several times" {
	needs java javac
	begin() { begin_java -XX:+UseZGC; }
	carry dump_and_restore
}

@test "java, while another java starts between dump and restore" {
	needs java javac
	begin() { begin_java -XX:+UseSerialGC; }
	another_in_between() {
		dump "${dump_with[@]}"
		java -version 2>"$dir/another"
		crtool restore -d -D "$to" "${restore_with[@]}"
	}
	carry another_in_between
}
