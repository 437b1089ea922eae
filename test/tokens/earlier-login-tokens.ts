/**
 * Tokens that other programs signed with `legacySecret`, by their own libraries, on 27 November 2026. They have not been
 * altered since: the libraries' defaults are what counts. All are valid at `signedSeconds`.
 */
export const signedSeconds = 1_795_804_600;

export const tokensOfEarlierLogins = {
  /** @nestjs/jwt 12.0.2: sign({ sub: 1, username: 'john' }) */
  nestJs:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOjEsInVzZXJuYW1lIjoiam9obiIsImlhdCI6MTc5NTgwNDQ3MiwiZXh' +
    'wIjoxNzk1ODA4MDcyfQ.OScrtcMiYxot_mo4JJukXe5TVZsBu9H0WYpjo29Nq5w',
  /** @nestjs/jwt 12.0.2: sign({ id: 1, email }) */
  nestJsWithId:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpZCI6MSwiZW1haWwiOiJqb2huQGV4YW1wbGUub3JnIiwiaWF0IjoxNzk1ODA' +
    '0NDcyLCJleHAiOjE3OTU4MDgwNzJ9.-WTj37HzdwZAvxma00ASvwsLLyLfzCQF30JWALr4rP8',
  /** PyJWT 2.15.1, as in the tutorial of FastAPI; python-jose 3.5.0 writes the same text */
  fastApi:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJqb2huZG9lIiwiZXhwIjoxNzk1ODA2MjcwfQ.pis_Fx5kgKwyLp6F' +
    'P9h1DycZJ1vRthGMnbd6A0MjhOI',
  /** fastapi-users 15.0.5: JWTStrategy.write_token */
  fastApiUsers:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3ZDBhMmUwZS01ZjBmLTRiNTQtOWE2My0wYTZhM2I3YTVkMTEiLCJ' +
    'hdWQiOlsiZmFzdGFwaS11c2VyczphdXRoIl0sImV4cCI6MTc5NTgwODA3MX0.nU-8zVwG4wTWizNR3dIFKNMctW1ZH7XYHMTfHf8' +
    '-fS4',
  /** fastapi-users 15.0.5: generate_jwt with the audience of its reset tokens */
  fastApiUsersReset:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3ZDBhMmUwZS01ZjBmLTRiNTQtOWE2My0wYTZhM2I3YTVkMTEiLCJ' +
    'wYXNzd29yZF9mZ3B0IjoieCIsImF1ZCI6ImZhc3RhcGktdXNlcnM6cmVzZXQiLCJleHAiOjE3OTU4MDgwNzF9.9BSBaCIDd0E8OW' +
    'OxEr1Az7Wc4b6LRjOyg5aQxsmnai0',
  /** Flask-JWT-Extended 4.7.4: create_access_token('alice', additional_claims={'roles': ['admin']}) */
  flask:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmcmVzaCI6ZmFsc2UsImlhdCI6MTc5NTgwNDQ3MCwianRpIjoiMzllOGNkMGU' +
    'tYzRkOC00ZDMxLTkzNGUtNWJjYTU2OTM2ZGU3IiwidHlwZSI6ImFjY2VzcyIsInN1YiI6ImFsaWNlIiwibmJmIjoxNzk1ODA0NDc' +
    'wLCJjc3JmIjoiZjFkZjBhZWItMWE5Ny00ZTdjLTljZjctMzM2NTMwZGRmNTFkIiwiZXhwIjoxNzk1ODA1MzcwLCJyb2xlcyI6WyJ' +
    'hZG1pbiJdfQ.Yox828_7GDoWEgNhi-Y-a1dXbybWYdclK8L4CtnZa00',
  /** Flask-JWT-Extended 4.7.4: create_refresh_token('alice') */
  flaskRefresh:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmcmVzaCI6ZmFsc2UsImlhdCI6MTc5NTgwNDQ3MCwianRpIjoiOTlhNmE5NDE' +
    'tNTZjMC00YzEwLWI2OTctMjA0ZjlkNDFiNzQ5IiwidHlwZSI6InJlZnJlc2giLCJzdWIiOiJhbGljZSIsIm5iZiI6MTc5NTgwNDQ' +
    '3MCwiY3NyZiI6ImY3NjNmNjk1LTI2OGItNGY4Mi1iMzg4LWI5YmYyZTM3ZGE2YyIsImV4cCI6MTc5ODM5NjQ3MH0.tOikejrlVnG' +
    '1cpnYuVT6-a1SYKlKXUQIsakFWoyCzGg',
  /** djangorestframework_simplejwt 5.5.1: RefreshToken.for_user(user).access_token */
  simpleJwt:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIiwiZXhwIjoxNzk1ODA0NzcwLCJpYXQiOjE' +
    '3OTU4MDQ0NzAsImp0aSI6ImNjNDQ3YWVlNTAzNzRkMDNiZjg1ZjdmNGJkZTA2Njc5IiwidXNlcl9pZCI6IjQyIn0.KGvh0gLvFvw' +
    'B0zLrBNWQl3I9bxDwUNRNVgumIBCppsk',
  /** djangorestframework_simplejwt 5.5.1: RefreshToken.for_user(user) */
  simpleJwtRefresh:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCIsImV4cCI6MTc5NTg5MDg3MCwiaWF0Ijo' +
    'xNzk1ODA0NDcwLCJqdGkiOiI5NzIxMzJiYWUxNTk0ZTM4YjA2Yjc5ZTRiZTUwMWE2ZiIsInVzZXJfaWQiOiI0MiJ9.gOj9gNuEFj' +
    'oLecIM5w5ggonqQUMIlpsy0hE-94EOElY',
  /** djangorestframework_simplejwt 5.5.1: SlidingToken.for_user(user) */
  simpleJwtSliding:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoic2xpZGluZyIsImV4cCI6MTc5NTgwNDc3MCwiaWF0Ijo' +
    'xNzk1ODA0NDcwLCJqdGkiOiI2NzY3ZTU0NGMzYzU0NmEzYjE2ZmE3NDdiZjk4Y2M3ZSIsInJlZnJlc2hfZXhwIjoxNzk1ODkwODc' +
    'wLCJ1c2VyX2lkIjoiNDIifQ.0MBcKruL8vE8qOqAVH2ebCh_4mlfE8GoFFpmZaXI6e0',
  /** ruby-jwt 2.5.0, with the claims of devise-jwt: sub, scp, aud (nil), iat, exp, jti */
  devise:
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwic2NwIjoidXNlciIsImF1ZCI6bnVsbCwiaWF0IjoxNzk1ODA0NTYxLCJleHAiOjE' +
    '3OTU4MDgxNjEsImp0aSI6IjA2YWZkNmI5LWM5YmItNDZkYy1iMDBkLTQ5ZWY2ZmUyNTU3NiJ9.TAj9GUZ-FwL4Ph6UIjpn6R-91y' +
    'Crm-3UpjGdgRiR7gg',
  /** golang-jwt 5.3.1, with the claims and the kid of Supabase Auth */
  supabase:
    'eyJhbGciOiJIUzI1NiIsImtpZCI6InExWnI4dVhrM21Zd0IwcFQiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJodHRwczovL3Byb2plY' +
    '3Quc3VwYWJhc2UuY28vYXV0aC92MSIsInN1YiI6IjNmMWM5ZDUyLTZhMGItNGY2ZS05ZDQzLTJmNmMxZjhmNWMxMSIsImF1ZCI6I' +
    'mF1dGhlbnRpY2F0ZWQiLCJleHAiOjE3OTU4MDgxNjIsImlhdCI6MTc5NTgwNDU2MiwiZW1haWwiOiJhQGV4YW1wbGUub3JnIiwic' +
    'GhvbmUiOiIiLCJhcHBfbWV0YWRhdGEiOnsicHJvdmlkZXIiOiJlbWFpbCIsInByb3ZpZGVycyI6WyJlbWFpbCJdfSwidXNlcl9tZ' +
    'XRhZGF0YSI6e30sInJvbGUiOiJhdXRoZW50aWNhdGVkIiwiYWFsIjoiYWFsMSIsImFtciI6W3sibWV0aG9kIjoicGFzc3dvcmQiL' +
    'CJ0aW1lc3RhbXAiOjE3OTU4MDQ1NjJ9XSwic2Vzc2lvbl9pZCI6IjBhNWUxZjZiLTlmMGQtNGQwYS04ZDBlLTJkNWIxYzdlOWEyM' +
    'iIsImlzX2Fub255bW91cyI6ZmFsc2V9.8-dToA48NVoh-UnMnKttmwuvm4VzTHtpbRKyMoCp6y4',
  /** golang-jwt 5.3.1, with the claims of Supabase's key for services */
  supabaseServiceRole:
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIxMTExNjQ1NjIsImlhdCI6MTc5NTgwNDU2MiwiaXNzIjoic3VwYWJ' +
    'hc2UiLCJyZWYiOiJwcm9qZWN0Iiwicm9sZSI6InNlcnZpY2Vfcm9sZSJ9.Z-ZST9NN9tfR9lRGECoqOkor_o2l8e262slpQT5Ht2' +
    '0',
} as const;
