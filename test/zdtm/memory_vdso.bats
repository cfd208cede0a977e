load lib/zdtm
load ../fault/lib/refuse

@test "the functions of the vDSO tell the time" { zdtm memory_vdso; }

@test "on another kernel the old vDSO leads to the new one" {
	accept=' 00:00 0 (\[(vvar.*|vdso)\])? '
	export CRTOOL_TEST_VDSO=1
	zdtm memory_vdso
}

@test "a program that has moved its vDSO" { zdtm memory_vdso moved; }

@test "a program that has unmapped its vDSO is refused by name, and runs on" {
	park memory_vdso gone
	refused 4 "task $pid (memory_vdso): has unmapped its vDSO, not supported by this version"
	run -4 crtool check -t "$pid"
	[[ $output == *"has unmapped its vDSO"* ]]
	running "$pid"
	release
}
