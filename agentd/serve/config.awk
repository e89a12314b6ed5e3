# agentd.yml(5) from what the heads of config.h and times.h say about it:
#
#	awk -f config.awk -v date=2026-11-22 -v version=0.1.0 config.h times.h
#
# Text in their comments is text here, what is indented by a tab is an example.

function text(s,	n, part, i) {
	gsub(/\\/, "\\e", s)
	n = split(s, part, "`")
	s = part[1]
	for (i = 2; i <= n; i++)
		s = s (i % 2 == 0 ? "\\fB" : "\\fR") part[i]
	return s ~ /^[.']/ ? "\\&" s : s
}

function example(on) {
	if (on != inside)
		print on ? ".PP\n.EX" : ".EE\n.PP"
	inside = on
}

FNR == 1 { comment = 1; next }
/^ \*\// { comment = 0 }
!comment { next }
{ sub(/^ \* ?/, "") }

NR == 2 {
	sub(/^agentd.yml: /, "")
	sub(/\.$/, "")
	print ".TH AGENTD.YML 5 " date " \"provctl " version "\""
	print ".SH NAME\nagentd.yml \\- " $0 "\n.SH DESCRIPTION"
	print "Read by \\fBagentd\\fR(8) at the start and on SIGHUP;"
	print "\\fBprovctl schedule \\-\\-file\\fR checks it."
	next
}

FNR == 2 { example(0); print ".SH TIMES"; blank = 0 }
/^$/ { blank = 1; next }
/^\t/ {
	example(1)
	line = ""
	n = split(substr($0, 2), cell, "\t")
	for (i = 1; i <= n; i++)
		line = line cell[i] (i < n ? substr("        ", length(line cell[i]) % 8 + 1) : "")
	gsub(/\\/, "\\e", line)
	print line
	blank = 0
	next
}
{
	if (inside)
		example(0)
	else if (blank)
		print ".PP"
	blank = 0
	print text($0)
}

END {
	example(0)
	print ".SH FILES"
	print "/etc/provctl/agentd.yml for root and users without a home of their own, else"
	print "$XDG_CONFIG_HOME/provctl/agentd.yml (~/.config/provctl/agentd.yml)."
	print ".SH SEE ALSO\n\\fBagentd\\fR(8), \\fBprovctl-schedule\\fR(1)"
}
