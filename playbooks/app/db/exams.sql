--
-- PostgreSQL database dump (pg_dump --no-owner --no-privileges exams)
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;
SET row_security = off;

CREATE TABLE public.exams (
    id integer NOT NULL,
    subject text NOT NULL,
    room text NOT NULL,
    starts_at timestamp without time zone NOT NULL,
    seats integer NOT NULL,
    CONSTRAINT exams_seats_check CHECK ((seats > 0))
);

CREATE SEQUENCE public.exams_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.exams_id_seq OWNED BY public.exams.id;

ALTER TABLE ONLY public.exams ALTER COLUMN id SET DEFAULT nextval('public.exams_id_seq'::regclass);

COPY public.exams (id, subject, room, starts_at, seats) FROM stdin;
1	Analysis I	H1	2025-02-10 09:00:00	240
2	Linear Algebra	H1	2025-02-12 09:00:00	220
3	Théorie des graphes	B 204	2025-02-13 14:00:00	35
4	Operating Systems	H2	2025-02-17 10:30:00	180
5	Maß- und Integrationstheorie	A 017	2025-02-19 09:00:00	60
6	Databases	H2	2025-02-21 13:00:00	150
\.

SELECT pg_catalog.setval('public.exams_id_seq', 6, true);

ALTER TABLE ONLY public.exams
    ADD CONSTRAINT exams_pkey PRIMARY KEY (id);

CREATE INDEX exams_starts_at_idx ON public.exams USING btree (starts_at);
