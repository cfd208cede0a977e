load lib/zdtm

@test "the functions of the vDSO tell the time" { zdtm memory_vdso; }

@test "on another kernel the old vDSO leads to the new one" {
	accept=' 00:00 0 (\[(vvar.*|vdso)\])? '
	export CRTOOL_TEST_VDSO=1
	zdtm memory_vdso
}
