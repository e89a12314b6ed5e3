// Fetches the exams and fills the table.  Texts go in as text, never as HTML.

const state = document.getElementById("state");

function row(exam) {
	const tr = document.createElement("tr");
	const begins = new Date(exam.starts_at).toLocaleString(undefined,
	    { dateStyle: "medium", timeStyle: "short" });

	for (const value of [exam.subject, exam.room, begins, exam.seats]) {
		const td = document.createElement("td");
		td.textContent = value;
		tr.append(td);
	}
	tr.lastChild.className = "number";
	return tr;
}

async function load() {
	const response = await fetch("/api/exams");

	if (!response.ok)
		throw new Error(`the server answered ${response.status}`);
	const exams = await response.json();
	document.getElementById("exams").replaceChildren(...exams.map(row));
	state.textContent = exams.length === 1 ? "1 exam" : `${exams.length} exams`;
}

load().catch((error) => {
	state.textContent = `No exams to show: ${error.message}.`;
	state.className = "failed";
});
