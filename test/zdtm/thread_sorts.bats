load lib/zdtm
load lib/many

@test "of many threads each keeps what it has alone" {
	zdtm thread_sorts
}

@test "threads that are alike are not asked one by one" {
	park thread_sorts alike
	if CRTOOL_LOG=alike:debug crtool dump -R -t "$pid" -D "$(images)" 2>&1 | grep "every thread is asked"; then
		skip "the kernel does not tell us of all threads at once"
	fi
	n=$(asked)
	echo "asked: $n"
	((n >= 2 && n < 20))
	release
}
