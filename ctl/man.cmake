# The manual pages: of the programs from what --help says, of agentd.yml from the heads of its headers.
#
#	cmake -DPROVCTL=… -DAGENTD=… -DSOURCE=… -DOUT=… -DVERSION=… -P man.cmake
string(TIMESTAMP date "%Y-%m-%d" UTC)	# or SOURCE_DATE_EPOCH
file(REMOVE_RECURSE ${OUT})
file(MAKE_DIRECTORY ${OUT}/man1 ${OUT}/man5 ${OUT}/man8)

function(page program command name section also more)
	execute_process(COMMAND ${program} ${command} --help
		COMMAND awk -f ${SOURCE}/ctl/man.awk -v name=${name} -v section=${section} -v date=${date}
			-v version=${VERSION} -v "also=${also}" -v more=${more}
		OUTPUT_FILE ${OUT}/man${section}/${name}.${section} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

execute_process(COMMAND ${PROVCTL} __words OUTPUT_VARIABLE words COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "(^|\n)[a-z]+" commands "${words}")
set(all "")
foreach(command ${commands})
	string(STRIP ${command} command)
	page(${PROVCTL} ${command} provctl-${command} 1 "provctl(1)" "")
	string(APPEND all "provctl-${command}(1), ")
endforeach()
page(${PROVCTL} "" provctl 1 "${all}agentd(8)" ${SOURCE}/ctl/provctl.man)
page(${AGENTD} "" agentd 8 "agentd.yml(5), provctl(1), provctl-schedule(1), provctl-follow(1), provctl-cancel(1)" "")
execute_process(COMMAND awk -f ${SOURCE}/agentd/serve/config.awk -v date=${date} -v version=${VERSION}
	${SOURCE}/agentd/serve/config.h ${SOURCE}/agentd/serve/times.h
	OUTPUT_FILE ${OUT}/man5/agentd.yml.5 COMMAND_ERROR_IS_FATAL ANY)
