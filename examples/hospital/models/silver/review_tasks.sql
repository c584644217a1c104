/*---
kind: cdc
description: Current rows of review-tasks.review_tasks.
source: bronze.review_tasks
key: [task_id]
target_lag: 10 seconds
owner: quality@hospital.example
tags: [hospital]
columns:
  task_id: {type: "string"}
  subject_type: {type: "string"}
  subject_id: {type: "string"}
  priority: {type: "string"}
  status: {type: "string"}
  assignee: {type: "string"}
  context: {type: "string"}
  created_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.task_id      AS task_id,
  after.subject_type AS subject_type,
  after.subject_id   AS subject_id,
  after.priority     AS priority,
  after.status       AS status,
  after.assignee     AS assignee,
  after.context      AS context,
  after.created_at   AS created_at,
  after.updated_at   AS updated_at
FROM bronze.review_tasks
