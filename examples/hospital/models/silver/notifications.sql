/*---
kind: cdc
description: Current rows of notification.notifications.
source: bronze.notifications
key: [notification_id]
target_lag: 10 seconds
owner: platform@hospital.example
tags: [phi, hospital]
columns:
  notification_id: {type: "string"}
  user_id: {type: "string", phi: other_id}
  channel: {type: "string"}
  priority: {type: "string"}
  subject: {type: "string", phi: free_text}
  status: {type: "string"}
  created_at: {type: "timestamptz"}
  sent_at: {type: "timestamptz"}
---*/
SELECT
  after.notification_id AS notification_id,
  after.user_id         AS user_id,
  after.channel         AS channel,
  after.priority        AS priority,
  after.subject         AS subject,
  after.status          AS status,
  after.created_at      AS created_at,
  after.sent_at         AS sent_at
FROM bronze.notifications
