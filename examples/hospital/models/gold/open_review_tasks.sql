/*---
kind: view
description: What people still have to look at, the oldest first within its priority.
owner: quality@hospital.example
tags: [hospital]
---*/
SELECT task_id, subject_type, subject_id, priority, status, assignee, created_at
FROM silver.review_tasks
WHERE status <> 'DONE'
