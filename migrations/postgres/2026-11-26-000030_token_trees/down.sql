-- Nothing to change: here a primary key costs what it costs.
SELECT 1;
