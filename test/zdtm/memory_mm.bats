load lib/zdtm

@test "executable, auxv, arguments, environment, brk and the vDSO stay" { zdtm memory_mm; }
@test "THP-disable but for what is advised, and MDWE that children do not inherit, stay" {
	there_is memory_mm flags || skip "this kernel has not both"
	zdtm memory_mm flags
}
@test "THP-disable, KSM, MDWE, mlockall and the core dump filter stay" { zdtm memory_mm all; }
@test "memory that is locked once it is touched, all of it, that of later too" { zdtm memory_mm onfault; }
